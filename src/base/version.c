/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/api.h>

const char *kur_version(void)
{
    return KUR_VERSION_TEXT;
}
