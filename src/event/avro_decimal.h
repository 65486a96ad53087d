/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Decimals of any size as text, for values whose type is known at run time only; a type of ours has 18 digits at most.
 */
#ifndef KURIER_EVENT_AVRO_DECIMAL_H
#define KURIER_EVENT_AVRO_DECIMAL_H

#include <kurier/bytes.h>

enum {
    KUR__AVRO_DECIMAL_SIZE_MAX = 256, /* bytes that are shown and read */
    KUR__AVRO_DECIMAL_DIGITS_MAX = 600
};

/*
 * Appends the text of an unscaled number of two's complement, big-endian, with `scale` digits behind the point. The
 * size and the scale are within the limits above. KUR_OK or KUR_ERROR_NO_MEMORY.
 */
kur_status kur__avro_decimal_format(const uint8_t *twos, size_t size, size_t scale, kur_buffer *text);

/*
 * Reads a decimal of at most `precision` digits, `scale` of them behind the point, into the end of `twos`, filled up
 * with its sign; `size` is how many of the bytes count. False when it is none.
 */
bool kur__avro_decimal_parse(const char *text, size_t length, size_t precision, size_t scale,
                             uint8_t twos[KUR__AVRO_DECIMAL_SIZE_MAX], size_t *size);

#endif
