/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef KURIER_KAFKA_TOPIC_H
#define KURIER_KAFKA_TOPIC_H

#include <stdbool.h>
#include <string.h>

/* Kafka's rule: 1 to 249 of A-Z a-z 0-9 . _ -, and neither "." nor "..". Each record sent comes through here. */
static inline bool kur__topic_is_valid(const char *name)
{
    size_t size = 0;
    if (name == NULL)
        return false;
    for (; name[size] != '\0' && size <= 249; size++) {
        unsigned char c = (unsigned char)name[size], lower = c | 0x20;
        bool is_digit = c >= '0' && c <= '9', is_letter = lower >= 'a' && lower <= 'z';
        if (!is_letter && !is_digit && c != '.' && c != '_' && c != '-')
            return false;
    }
    return size > 0 && size <= 249 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

#endif
