/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/api.h>: what every other header stands on: visibility, versions, how options are passed.
 */
#ifndef KURIER_API_H
#define KURIER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define KUR_BEGIN_DECLS extern "C" {
#define KUR_END_DECLS }
#define KUR__EXTERN extern "C"
#else
#define KUR_BEGIN_DECLS
#define KUR_END_DECLS
#define KUR__EXTERN extern
#endif

/** Marks what the shared library exports; everything else in it is hidden. */
#define KUR_API __attribute__((visibility("default")))

#define KUR__UNUSED __attribute__((unused))
#define KUR_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#define KUR_WARN_UNUSED_RESULT __attribute__((warn_unused_result))

#define KUR_VERSION_MAJOR 0
#define KUR_VERSION_MINOR 1
#define KUR_VERSION_PATCH 0
/** The version of these headers; kur_version() is that of the library that runs. */
#define KUR_VERSION_TEXT "0.1.0"

/**
 * In an options struct zero always means "the default". KUR_NONE says "none": no wait, no limit, no bound, as
 * the option's own documentation says.
 */
#define KUR_NONE (-1)

/*
 * Options are structs whose first member is their size as the caller compiled it, so that a library which knows
 * more members than the program does not read behind its end. The macros named after the structs fill it in:
 *
 *     kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/services/email"), &error);                    // C
 *     auto options = KUR_CLIENT_OPTIONS(.source = "/services/email");                              // C++20
 *     kur_client_new(&options, &error);
 */
#ifdef __cplusplus
#define KUR__OPTIONS(type, ...)                                                                                        \
    type                                                                                                               \
    {                                                                                                                  \
        .size = sizeof(type), __VA_ARGS__                                                                              \
    }
#else
#define KUR__OPTIONS(type, ...) ((type){.size = sizeof(type), __VA_ARGS__})
#endif

KUR_BEGIN_DECLS

/** The version of the library that runs, such as "0.1.0". Static; any thread. */
KUR_API const char *kur_version(void);

KUR_END_DECLS

#endif
