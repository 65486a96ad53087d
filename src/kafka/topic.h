/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef KURIER_KAFKA_TOPIC_H
#define KURIER_KAFKA_TOPIC_H

#include <stdbool.h>
#include <string.h>

/* Kafka's rule: 1 to 249 of these characters, and neither "." nor "..". */
static inline bool kur__topic_is_valid(const char *name)
{
    if (name == NULL || name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return name[size] == '\0' && size <= 249;
}

#endif
