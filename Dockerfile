# One static file on nothing. tests/tools/image.sh makes the same without Docker.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev gcc make
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
RUN cargo build --release --locked --bin raywarden

FROM scratch
COPY --from=build /src/target/release/raywarden /raywarden
USER 65532:65532
ENTRYPOINT ["/raywarden"]
