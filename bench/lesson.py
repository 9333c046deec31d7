"""The two routes that berth is measured against.

A handler written `async def` runs on the event loop, one written `def` in a pool of threads, at twice the cost.
Programs have both, so /health is the faster kind and /health-def the other: the same answer, written plainly.
"""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from Docker!"}


@app.get("/health")
async def health():
    return {"status": "healthy"}


@app.get("/health-def")
def health_def():
    return {"status": "healthy"}
