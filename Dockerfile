# docker build -t spqr-tests .
# docker run --rm -v spqr-store:/store -v "$PWD":/work spqr-tests --model checkpoints/candidate
FROM python:3.12-slim

# Where torch comes from: by default its builds without CUDA. For a machine with a card:
# --build-arg TORCH_INDEX=https://pypi.org/simple
# From this index alone: of two, pip takes the newest version, whichever build that is.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.6" torchvision

COPY pyproject.toml README.md LICENSE /opt/spqr-tests/
COPY spqr_tests /opt/spqr-tests/spqr_tests
COPY fixtures /opt/spqr-tests/fixtures
COPY thresholds.toml /opt/spqr-tests/thresholds.toml
RUN pip install --no-cache-dir /opt/spqr-tests

RUN useradd --create-home --uid 1000 spqr && install --directory --owner=spqr --mode=0700 /store /work
USER spqr
ENV SPQR_STORE=/store
VOLUME /store
WORKDIR /work
# The folder may be read-only, or another user's.
ENTRYPOINT ["python", "-m", "pytest", "-p", "no:cacheprovider"]
