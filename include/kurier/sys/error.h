/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/error.h>: the rule that a NULL object keeps the first error.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_ERROR_H
#define KURIER_SYS_ERROR_H

#include <kurier/error.h>

KUR_BEGIN_DECLS

/** The object handed in is NULL: an error that is already set stays, and its status is returned. */
KUR__UNUSED static inline kur_status kur_error_null(kur_error *error, const char *what)
{
    if (error != NULL && error->code != KUR_OK)
        return error->code;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is NULL", what);
}

KUR_END_DECLS

#endif
