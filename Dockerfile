# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The shop's services, and what building and testing need. docker-compose.yml uses it; by itself: docker build -t kurier-shop .
# Without a container registry, script/images makes debian:bookworm-slim and apache/kafka:4.3.1.

# ---- What building needs ----
FROM debian:bookworm-slim AS tools
WORKDIR /kurier
COPY script/bootstrap script/
RUN script/bootstrap --no-kafka && rm -rf /var/lib/apt/lists/*

# ---- A schema registry for the test suite, from Maven ----
FROM tools AS registry
RUN script/bootstrap --no-kafka --also openjdk-17-jre-headless --also maven && rm -rf /var/lib/apt/lists/*
COPY script/registry script/
RUN script/registry fetch

# ---- For the test suite: a Java, Kafka's own jars for brokers of its own, and the registry; the checkout comes with docker-compose.yml ----
FROM tools AS test
RUN script/bootstrap --no-kafka --also openjdk-17-jre-headless --also openssl --also postgresql-15 --also pgbouncer && rm -rf /var/lib/apt/lists/*
COPY --from=registry /root/.cache/kurier /root/.cache/kurier
COPY --from=apache/kafka:4.3.1 /opt/kafka/libs /root/.cache/kurier/kafka-4.3.1/lib
CMD ["script/test"]

# ---- The build ----
FROM tools AS build
COPY . .
RUN meson setup /build --buildtype=release --prefix=/usr -Dtests=disabled -Dbench=disabled -Ddocs=disabled -Dexamples=enabled \
    && ninja -C /build && DESTDIR=/out meson install -C /build --no-rebuild --tags runtime \
    && install -D -t /out/usr/bin -s /build/examples/shop/shop-order /build/examples/shop/shop-email \
        /build/examples/shop/shop-inventory /build/examples/shop/shop-fraud /build/examples/shop/shop-shipping \
        /build/examples/shop/shop-analytics /build/examples/shop/shop-load

# ---- What runs ----
FROM debian:bookworm-slim AS shop
RUN apt-get update && apt-get install -y --no-install-recommends \
        librdkafka1 libjansson4 libmicrohttpd12 libcurl4 libsqlite3-0 libpq5 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home shop
COPY --from=build /out/ /
USER shop
WORKDIR /home/shop
# Which of them is the command's: shop-email --slow-ms 30.
CMD ["shop-order", "--port", "0.0.0.0:8080"]
