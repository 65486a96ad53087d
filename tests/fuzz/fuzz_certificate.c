/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A certificate as a broker shows it (DER), or as it stands in a file (PEM): its end is found or not, within its bytes.
 */
#include <string.h>

#include "kafka/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t end_us;
    kur__certificate_end(kur_bytes_of(data, size), &end_us);
    kur__certificate_end_of_pem(kur_bytes_of(data, size), &end_us);
    return 0;
}
