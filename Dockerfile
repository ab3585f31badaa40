# iuinet cohort in a container: docker run IMAGE IN OUT [OPTIONS]. See Documentation/cohort.md.
#
#   docker build -t iuinet .                                            for CPUs
#   docker build --build-arg TORCH=pytorch-gpu -t iuinet:cuda .         for CUDA
#
# Not built where it was written. PyTorch is conda-forge's, which has a build for CPUs alone.
FROM condaforge/miniforge3:25.3.1-0

ARG TORCH=pytorch-cpu
# Where the image is built there need not be a GPU: the solver is told that there will be one.
ENV CONDA_OVERRIDE_CUDA=12.9
RUN mamba install --yes --name base python=3.12 "$TORCH>=2.10" && mamba clean --all --yes

# The library is installed in place, as the model that ships lies beside it.
WORKDIR /opt/iuinet
COPY pyproject.toml README.md LICENSE.txt ./
COPY IUINetSegmentation IUINetSegmentation
RUN pip install --no-cache-dir --editable '.[cohort,preview,dicomseg]'

# Any user may run it; models that are imported and caches go here.
ENV IUINET_HOME=/models MPLCONFIGDIR=/models
RUN mkdir -m 0777 /models
USER 1000
WORKDIR /data
ENTRYPOINT ["iuinet", "cohort"]
CMD ["--help"]
