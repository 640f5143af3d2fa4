# Debian 12, whose glibc the binary needs, with the libraries that namecam is linked with for arm64; see cross.toml.
FROM debian:bookworm
COPY tools /lean/tools
RUN apt-get update && /lean/tools/lean image arm64 /lean/arm64 && rm -rf /var/lib/apt/lists/*
