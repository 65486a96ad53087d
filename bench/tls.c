/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Produce and consume over TLS, with certificates on both sides, beside bare librdkafka with the same. The broker is
 * the one of script/kafka run --secure.
 */
#include <stdlib.h>

#include "bench.h"

static const char *secure(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL)
        bench_fail("tls: %s is not set: script/kafka run --secure", name);
    return value;
}

void bench_tls(const bench_options *options)
{
    const kur_property properties[] = {{"security.protocol", "ssl"},
                                       {"ssl.ca.location", secure("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", secure("KURIER_SECURE_ADMIN_CERTIFICATE")},
                                       {"ssl.key.location", secure("KURIER_SECURE_ADMIN_KEY")},
                                       {NULL, NULL}};
    bench_options over_tls = *options;
    over_tls.bootstrap = secure("KURIER_SECURE_MTLS");
    over_tls.real = true;
    over_tls.properties = properties;
    bench_produce_as(&over_tls, "tls");
    bench_consume_as(&over_tls, "tls");
}
