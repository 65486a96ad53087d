/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sys/base64.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

kur_status kur_base64_write(kur_buffer *text, kur_bytes bytes)
{
    if (bytes.size > SIZE_MAX / 4 || kur_buffer_reserve(text, (bytes.size + 2) / 3 * 4) != KUR_OK)
        return KUR_ERROR_NO_MEMORY;
    const uint8_t *in = bytes.data;
    char *out = text->data + text->size;
    size_t left = bytes.size;
    for (; left >= 3; left -= 3, in += 3, out += 4) {
        unsigned three = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        out[0] = alphabet[three >> 18];
        out[1] = alphabet[three >> 12 & 63];
        out[2] = alphabet[three >> 6 & 63];
        out[3] = alphabet[three & 63];
    }
    if (left > 0) {
        unsigned two = (unsigned)in[0] << 8 | (left > 1 ? in[1] : 0);
        out[0] = alphabet[two >> 10];
        out[1] = alphabet[two >> 4 & 63];
        out[2] = left > 1 ? alphabet[two << 2 & 63] : '=';
        out[3] = '=';
        out += 4;
    }
    text->size = (size_t)(out - text->data);
    *out = '\0';
    return KUR_OK;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool kur_base64_read(const char *text, size_t size, uint8_t *bytes, size_t *count)
{
    if (size % 4 != 0)
        return false;
    size_t padding = size > 0 && text[size - 1] == '=' ? (text[size - 2] == '=' ? 2 : 1) : 0;
    size_t made = 0;
    for (size_t i = 0; i < size; i += 4) {
        unsigned four = 0;
        size_t pads = i + 4 == size ? padding : 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j + pads >= 4 ? 0 : value_of(text[i + j]);
            if (value < 0)
                return false;
            four = four << 6 | (unsigned)value;
        }
        /* What padding cuts off must be zero, or one value had several texts. */
        if ((pads == 1 && (four & 0xff) != 0) || (pads == 2 && (four & 0xffff) != 0))
            return false;
        for (size_t j = 0; j < 3 - pads; j++)
            bytes[made++] = (uint8_t)(four >> (16 - 8 * j));
    }
    *count = made;
    return true;
}
