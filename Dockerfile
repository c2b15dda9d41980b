# rndrkit as one static file in an otherwise empty image.
#
#   docker build -t rndrkit .
#   docker run -p 8080:8080 -v rndrkit-data:/data rndrkit

FROM rust:1.95-alpine AS build
# SQLite and ring are C; the image brings Rust alone.
RUN apk add --no-cache build-base
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package rndrkit \
    && install -D target/dist/rndrkit /image/usr/local/bin/rndrkit \
    && install -d -m 0700 -o 10001 -g 10001 /image/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/usr/local/bin/rndrkit /usr/local/bin/rndrkit
COPY --from=build --chown=10001:10001 /image/data /data
USER 10001:10001
WORKDIR /data
VOLUME /data
# Loopback inside a container is the container alone. The internal listener must stay off the Internet all the
# same: publish 8080, and reach 8081 over the container network.
ENV RNDRKIT_DATA_DIR=/data \
    RNDRKIT_PUBLIC_LISTEN=0.0.0.0:8080 \
    RNDRKIT_INTERNAL_LISTEN=0.0.0.0:8081
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/rndrkit"]
