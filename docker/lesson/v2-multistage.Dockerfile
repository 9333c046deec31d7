# v2-multistage: packages are installed in a first stage, without a cache; the second takes only their folder.
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
COPY requirements.txt .
RUN pip install --user --no-cache-dir -r requirements.txt

FROM ${BASE}
WORKDIR /app
COPY --from=build /root/.local /root/.local
COPY main.py .
ENV PATH=/root/.local/bin:$PATH
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
