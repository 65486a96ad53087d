/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What CloudEvents allows in attributes, for reading and writing.
 */
#ifndef KURIER_EVENT_ATTRIBUTE_H
#define KURIER_EVENT_ATTRIBUTE_H

#include <kurier/bytes.h>
#include <strings.h>

#define KUR__STRUCTURED_TYPE "application/cloudevents"

/* Whether all is printable ASCII; eight bytes at a time, for every attribute of every event comes through here. */
static inline bool kur__attribute_is_ascii(const unsigned char *text, size_t size)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t word, wrong = 0;
    for (; size >= sizeof word; text += sizeof word, size -= sizeof word) {
        memcpy(&word, text, sizeof word);
        uint64_t del = word ^ ones * 0x7f;
        /* A byte less than n borrows; where one borrows, the top bits of those above it say nothing, but it is wrong.
         */
        wrong |= word | (word - ones * 0x20) | (del - ones);
    }
    wrong &= tops;
    for (; size > 0; text++, size--)
        wrong |= *text < 0x20 || *text >= 0x7f;
    return wrong == 0;
}

/*
 * UTF-8 without control characters (C0, DEL, C1) and noncharacters (CloudEvents 1.0.2, section "Type System"). A NUL is
 * a control character, so that what passes is a C string.
 */
static inline bool kur__attribute_is_text(kur_bytes value)
{
    const unsigned char *text = value.data;
    if (text == NULL)
        return false;
    if (kur__attribute_is_ascii(text, value.size))
        return true;
    for (size_t i = 0; i < value.size; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return false;
    if (!kur_bytes_is_utf8(value))
        return false;
    for (size_t i = 0; i + 1 < value.size; i++) {
        const unsigned char *c = text + i;
        bool c1 = c[0] == 0xc2 && c[1] < 0xa0;
        bool arabic = i + 2 < value.size && c[0] == 0xef && c[1] == 0xb7 && c[2] >= 0x90 && c[2] <= 0xaf;
        bool plane_end = i + 2 < value.size && c[1] == 0xbf && c[2] >= 0xbe &&
                         (c[0] == 0xef || (i > 0 && c[-1] >= 0xf0 && (c[0] & 0x8f) == 0x8f));
        if (c1 || arabic || plane_end)
            return false;
    }
    return true;
}

/* The value as a text, or NULL when it is none. */
static inline const char *kur__attribute_text_or_null(kur_bytes value)
{
    return value.size > 0 && kur__attribute_is_text(value) ? value.data : NULL;
}

/* Whether a content type (with or without parameters) is this media type. */
static inline bool kur__content_type_is(const char *content_type, const char *media_type)
{
    size_t size = strlen(media_type);
    if (strncasecmp(content_type, media_type, size) != 0)
        return false;
    char next = content_type[size];
    return next == '\0' || next == ';' || next == ' ';
}

/* application/json, text/json, or anything that ends in +json. */
static inline bool kur__content_type_is_json(const char *content_type)
{
    size_t size = strcspn(content_type, "; ");
    return kur__content_type_is(content_type, "application/json") || kur__content_type_is(content_type, "text/json") ||
           (size > 5 && strncasecmp(content_type + size - 5, "+json", 5) == 0);
}

#endif
