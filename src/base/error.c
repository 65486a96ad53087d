/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

_Static_assert(sizeof(kur_error) == 512, "kur_error is part of the ABI");

const char *kur_status_name(kur_status status)
{
    switch (status) {
#define NAME(name, number, retriable, fatal, text)                                                                     \
    case KUR_##name:                                                                                                   \
        return "KUR_" #name;
        KUR_STATUS_LIST(NAME)
#undef NAME
    }
    return "KUR_ERROR_?";
}

const char *kur_status_text(kur_status status)
{
    switch (status) {
#define TEXT(name, number, retriable, fatal, text)                                                                     \
    case KUR_##name:                                                                                                   \
        return text;
        KUR_STATUS_LIST(TEXT)
#undef TEXT
    }
    return "not a status of this library";
}

bool kur_status_is_retriable(kur_status status)
{
    switch (status) {
#define RETRIABLE(name, number, retriable, fatal, text)                                                                \
    case KUR_##name:                                                                                                   \
        return retriable;
        KUR_STATUS_LIST(RETRIABLE)
#undef RETRIABLE
    }
    return false;
}

bool kur_status_is_fatal(kur_status status)
{
    switch (status) {
#define FATAL(name, number, retriable, fatal, text)                                                                    \
    case KUR_##name:                                                                                                   \
        return fatal;
        KUR_STATUS_LIST(FATAL)
#undef FATAL
    }
    return false;
}

kur_status kur_error_set(kur_error *error, kur_status status, const char *format, ...)
{
    if (error == NULL)
        return status;

    /* The arguments may point into the very error that is being set. */
    kur_error made = {
        .code = status, .retriable = kur_status_is_retriable(status), .fatal = kur_status_is_fatal(status)};
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(made.message, sizeof made.message, format, arguments);
    va_end(arguments);
    if (length < 0)
        made.message[0] = '\0';
    kur__line_clean(made.message);
    *error = made;
    return status;
}

kur_status kur__error_no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

void kur__error_prefix(kur_error *error, const char *format, ...)
{
    if (error == NULL)
        return;
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof message)
        return;
    snprintf(message + length, sizeof message - (size_t)length, "%s", error->message);
    kur__line_clean(message);
    memcpy(error->message, message, sizeof message);
}
