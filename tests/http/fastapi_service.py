"""The service of the Docker lessons: two routes, and a model file that it looks for when it starts."""

import os

from fastapi import FastAPI

MODEL = os.environ.get("LESSON_MODEL", "/app/models/model.bin")
message = "Hello from Docker!"
if os.path.exists(MODEL):
    print(f"Loading model from {MODEL}")
    message = "Model loaded from volume mount"

app = FastAPI()


@app.get("/")
def read_root():
    return {"message": message}


@app.get("/health")
def health():
    return {"status": "healthy"}
