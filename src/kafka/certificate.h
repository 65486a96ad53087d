/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The one thing that errors need of a certificate: until when it is valid.
 */
#ifndef KURIER_KAFKA_CERTIFICATE_H
#define KURIER_KAFKA_CERTIFICATE_H

#include <kurier/bytes.h>

/* The end of the validity of an X.509 certificate in DER (RFC 5280, 4.1), in microseconds since 1970; false when the
 * bytes are none. */
bool kur__certificate_end(kur_bytes der, int64_t *end_us);

/* Likewise of the first certificate in a text in PEM (RFC 7468). */
bool kur__certificate_end_of_pem(kur_bytes pem, int64_t *end_us);

/* Likewise in a file; false also when it cannot be read. */
bool kur__certificate_end_of_file(const char *path, int64_t *end_us);

#endif
