/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "event/trace.h"

static bool is_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *text, size_t size)
{
    return strspn(text, "0") >= size;
}

/* Printable ASCII; with tabs in between, where `has_tabs`. */
static bool is_printable(kur_bytes value, size_t size_max, bool has_tabs)
{
    const unsigned char *text = value.data;
    if (text == NULL || value.size == 0 || value.size > size_max)
        return false;
    for (size_t i = 0; i < value.size; i++)
        if ((text[i] < 0x20 && !(has_tabs && text[i] == '\t')) || text[i] > 0x7e)
            return false;
    return true;
}

bool kur__traceparent_is_valid(kur_bytes value)
{
    enum {
        SIZE = 55
    };
    const char *text = value.data;
    if (text == NULL || value.size < SIZE || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!is_hex(text, 2) || !is_hex(text + 3, 32) || !is_hex(text + 36, 16) || !is_hex(text + 53, 2))
        return false;
    if (is_zero(text + 3, 32) || is_zero(text + 36, 16) || memcmp(text, "ff", 2) == 0)
        return false;
    bool is_first_version = memcmp(text, "00", 2) == 0;
    /* A later version may say more, in words that nobody knows yet: printable ones, for they travel on. */
    return value.size == SIZE || (!is_first_version && text[SIZE] == '-' && is_printable(value, 512, false));
}

bool kur__tracestate_is_valid(kur_bytes text)
{
    return is_printable(text, 512, true);
}

bool kur__baggage_is_valid(kur_bytes text)
{
    return is_printable(text, 8192, true);
}
