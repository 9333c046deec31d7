"""The service that the lesson packs: two routes, and a model that is looked for where a volume is mounted."""
from pathlib import Path

from fastapi import FastAPI

MODEL = Path("/app/models/model.bin")
app = FastAPI()

if MODEL.exists():
    print(f"Loading model from {MODEL}")


@app.get("/")
def root():
    return {"message": "Model loaded from volume mount" if MODEL.exists() else "Hello from Docker!"}


@app.get("/health")
def health():
    return {"status": "healthy"}
