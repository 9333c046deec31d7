# v4-optimized: as v3, with the RUN commands in one, and caches and compiled files removed in the same layer.
# SITE is where that image's Python keeps its packages.
ARG BASE=python:3.12-alpine
FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG UV_INDEX_URL
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir uv && \
    uv pip install --system --no-cache -r requirements.txt && \
    pip uninstall -y uv && \
    rm -rf /root/.cache /tmp/* && \
    find /usr/local -type d -name __pycache__ -prune -exec rm -rf {} +

FROM ${BASE}
ARG SITE=/usr/local/lib/python3.12/site-packages
WORKDIR /app
COPY --from=build ${SITE} ${SITE}
COPY --from=build /usr/local/bin /usr/local/bin
COPY main.py .
ENV PYTHONUNBUFFERED=1
ENV PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
