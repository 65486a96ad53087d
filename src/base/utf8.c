/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <kurier/bytes.h>

/*
 * The length of the character that starts at `text`, or 0 when it is not valid: the well-formed sequences of the
 * Unicode standard, table 3-7.
 */
static size_t character_size(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > size)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool kur_bytes_is_utf8(kur_bytes bytes)
{
    const unsigned char *text = bytes.data;
    size_t left = bytes.size;
    if (text == NULL)
        return left == 0;
    while (left > 0) {
        /* Nearly all text is ASCII: eight bytes at a time as long as it is. */
        uint64_t word;
        if (left >= sizeof word && (memcpy(&word, text, sizeof word), (word & 0x8080808080808080u) == 0)) {
            text += sizeof word;
            left -= sizeof word;
            continue;
        }
        size_t length = character_size(text, left);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

/* Whether all that is left is the beginning of a character: that is where the text was cut. */
static bool is_cut(const unsigned char *text, size_t left)
{
    for (size_t i = 1; i < left; i++)
        if ((text[i] & 0xc0) != 0x80)
            return false;
    return text[0] >= 0xc2 && left < (text[0] >= 0xf0 ? 4u : text[0] >= 0xe0 ? 3u : 2u);
}

void kur__line_clean(char *text)
{
    unsigned char *c = (unsigned char *)text;
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = character_size(c, left);
        if (length == 0 && is_cut(c, left)) {
            c[0] = '\0';
            return;
        }
        if (length == 0)
            c[0] = '?';
        else if (c[0] < 0x20 || c[0] == 0x7f)
            c[0] = ' ';
        length = length > 0 ? length : 1;
        c += length;
        left -= length;
    }
}
