/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What Spring Kafka calls its headers.
 */
#include <string.h>

#include "retry/retry.h"

bool kur__spring_is_header(const char *name)
{
    static const char *const prefixes[] = {"retry_topic-", "kafka_original-", "kafka_dlt-", "kafka_exception-",
                                           "kafka_key-exception-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}
