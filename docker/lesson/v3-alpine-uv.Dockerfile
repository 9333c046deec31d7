# v3-alpine-uv: the smallest Python image, with uv as the installer of the first stage.
# SITE is where that image's Python keeps its packages.
ARG BASE=python:3.12-alpine
FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG UV_INDEX_URL
WORKDIR /app
RUN pip install --no-cache-dir uv
COPY requirements.txt .
RUN uv pip install --system --no-cache -r requirements.txt
# uv installed the rest; it does not go along itself.
RUN pip uninstall -y uv

FROM ${BASE}
ARG SITE=/usr/local/lib/python3.12/site-packages
WORKDIR /app
COPY --from=build ${SITE} ${SITE}
COPY --from=build /usr/local/bin /usr/local/bin
COPY main.py .
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
