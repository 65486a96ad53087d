/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Numbers are lists of 32 bits, the highest first, without sign; nine digits are taken off or put on at a time.
 */
#include "event/avro_decimal.h"

#include "base/buffer.h"

enum {
    LIMBS = KUR__AVRO_DECIMAL_SIZE_MAX / 4,
    NINE_DIGITS = 1000000000
};

/* Two's complement to magnitude and sign. */
static bool load(const uint8_t *twos, size_t size, uint32_t limbs[LIMBS])
{
    bool negative = size > 0 && (twos[0] & 0x80) != 0;
    for (size_t i = 0; i < LIMBS; i++)
        limbs[i] = negative ? UINT32_MAX : 0;
    for (size_t i = 0; i < size; i++) {
        size_t place = size - 1 - i; /* from the end */
        uint32_t *limb = &limbs[LIMBS - 1 - place / 4];
        unsigned shift = (unsigned)(place % 4 * 8);
        *limb = (*limb & ~(UINT32_C(0xff) << shift)) | (uint32_t)twos[i] << shift;
    }
    uint64_t carry = 1;
    for (size_t i = LIMBS; negative && i-- > 0; carry >>= 32) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
    }
    return negative;
}

/* Divides by ten to the ninth and returns the rest. `first` is the highest that is not zero. */
static uint32_t divide(uint32_t limbs[LIMBS], size_t first)
{
    uint64_t rest = 0;
    for (size_t i = first; i < LIMBS; i++) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / NINE_DIGITS);
        rest %= NINE_DIGITS;
    }
    return (uint32_t)rest;
}

kur_status kur__avro_decimal_format(const uint8_t *twos, size_t size, size_t scale, kur_buffer *text)
{
    uint32_t limbs[LIMBS];
    char digits[KUR__AVRO_DECIMAL_DIGITS_MAX + 640]; /* of the number, or zeros for the scale */
    char *end = digits + sizeof digits, *start = end;
    bool negative = load(twos, size, limbs);
    size_t first = 0;
    for (;;) {
        while (first < LIMBS && limbs[first] == 0)
            first++;
        if (first == LIMBS)
            break;
        uint32_t nine = divide(limbs, first);
        for (int i = 0; i < 9; i++, nine /= 10)
            *--start = (char)('0' + nine % 10);
    }
    while (start < end && *start == '0')
        start++;
    while ((size_t)(end - start) < scale + 1)
        *--start = '0';
    size_t whole = (size_t)(end - start) - scale;
    kur_status status = negative ? kur__buffer_put_char(text, '-') : KUR_OK;
    if (status == KUR_OK)
        status = kur__buffer_put(text, start, whole);
    if (status == KUR_OK && scale > 0)
        status = kur__buffer_put_char(text, '.');
    return status == KUR_OK ? kur__buffer_put(text, start + whole, scale) : status;
}

/* The digits without the point, filled up with zeros to the scale; how many, or 0 when it is no such decimal. */
static size_t take_digits(const char *text, size_t length, size_t precision, size_t scale, char *digits)
{
    size_t count = 0, behind = 0, leading = 0;
    bool has_point = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && !has_point && count > 0 && i + 1 < length) {
            has_point = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || count == KUR__AVRO_DECIMAL_DIGITS_MAX || (behind += has_point) > scale)
            return 0;
        digits[count++] = text[i];
    }
    for (; count > 0 && behind < scale; behind++) {
        if (count == KUR__AVRO_DECIMAL_DIGITS_MAX)
            return 0;
        digits[count++] = '0';
    }
    while (leading < count && digits[leading] == '0')
        leading++;
    return count - leading <= precision ? count : 0;
}

bool kur__avro_decimal_parse(const char *text, size_t length, size_t precision, size_t scale,
                             uint8_t twos[KUR__AVRO_DECIMAL_SIZE_MAX], size_t *size)
{
    char digits[KUR__AVRO_DECIMAL_DIGITS_MAX];
    bool negative = length > 0 && text[0] == '-';
    size_t count = take_digits(text + negative, length - negative, precision, scale, digits);
    if (count == 0)
        return false;
    memset(twos, 0, KUR__AVRO_DECIMAL_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t carry = (uint32_t)(digits[i] - '0');
        /* A digit has less than 5 / 12 of a byte. */
        for (size_t j = KUR__AVRO_DECIMAL_SIZE_MAX; j-- > KUR__AVRO_DECIMAL_SIZE_MAX - 1 - (i + 1) * 5 / 12;
             carry >>= 8) {
            carry += twos[j] * 10u;
            twos[j] = (uint8_t)carry;
        }
    }
    uint32_t carry = 1;
    for (size_t j = KUR__AVRO_DECIMAL_SIZE_MAX; negative && j-- > 0; carry >>= 8) {
        carry += (uint8_t)~twos[j];
        twos[j] = (uint8_t)carry;
    }
    /* The fewest that hold it and its sign. */
    uint8_t sign = twos[0] & 0x80 ? 0xff : 0;
    size_t first = 0;
    while (first + 1 < KUR__AVRO_DECIMAL_SIZE_MAX && twos[first] == sign && ((twos[first + 1] ^ sign) & 0x80) == 0)
        first++;
    *size = KUR__AVRO_DECIMAL_SIZE_MAX - first;
    return true;
}
