/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A properties file with anything in it: read or refused with its line, and a canary in a secret's value is never said.
 */
#include <stdlib.h>
#include <string.h>

#include "kafka/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* What the input says itself may be said again. */
    if (memmem(data, size, "canary", 6) != NULL)
        return 0;
    kur_error error = {0};
    kur__config config = {0};
    if (kur__config_set(&config, "sasl.password", "canary-7f3a", &error) != KUR_OK)
        abort();
    if (kur__config_read(&config, "fuzz.conf", kur_bytes_of(data, size), &error) != KUR_OK) {
        if (strncmp(error.message, "fuzz.conf", 9) != 0 || strstr(error.message, "canary-7f3a") != NULL ||
            !kur_bytes_is_utf8(kur_bytes_text(error.message)))
            abort();
    } else {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        kur__config_apply(&config, conf, &error);
        rd_kafka_conf_destroy(conf);
        if (strstr(error.message, "canary-7f3a") != NULL)
            abort();
    }
    kur__config_done(&config);
    return 0;
}
