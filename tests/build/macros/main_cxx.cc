/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <cstdio>

#include "shop.h"

/* The header a second time in one program; what this file does not use gives no warning. */
int main(void)
{
    const char *failed = use_everything();
    if (failed != nullptr)
        std::fprintf(stderr, "%s\n", failed);
    return failed != nullptr;
}
