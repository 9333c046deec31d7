# naive: one stage on the full Python image, with all its compilers, and pip's cache kept.
ARG BASE=python:3.12
FROM ${BASE}
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY main.py .
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
