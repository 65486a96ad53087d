/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/filter.h>: which records are meant, said in a line of text. It is what `--where` takes at the command line.
 *
 *     cause = "smtp.timeout" and age < 2h and header("tenant") in ("acme", "globex")
 *     type ~ "shop.order.*" and not (payload.customer.vip = true or exists(payload.lines[0].sku))
 *
 * Comparisons of a field with a literal, "and", "or", "not" and parentheses; the grammar, the fields and the rules of
 * types stand in docs/guide/filters.md.
 *
 * A field that is missing is null. Every comparison with null is false but `= null`; so is one of different kinds, such
 * as a text with a number; number(…) is the number that a text says. There are no errors at run time, and no loops: a
 * record is judged in a time that goes by its size. Part of libkurier-patterns.
 */
#ifndef KURIER_FILTER_H
#define KURIER_FILTER_H

#include <kurier/bytes.h>
#include <kurier/deadletter.h>

KUR_BEGIN_DECLS

enum {
    KUR_FILTER_SIZE_MAX = 4096, /**< bytes of an expression */
    KUR_FILTER_DEPTH_MAX = 32,  /**< "(" and "not" within one another; steps of a path into the payload */
    KUR_FILTER_PATHS_MAX = 16   /**< paths into the payload: each one reads it */
};

/**
 * Reads an expression, which is copied. NULL with KUR_ERROR_SYNTAX or KUR_ERROR_TOO_LARGE, which say at which character
 * and what was expected there ("character 9: age is a duration: expected one such as 90s, 15m, 2h or 7d, found 2");
 * KUR_ERROR_INVALID_ARGUMENT for NULL, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_filter *kur_filter_new(const char *text, kur_error *error);

/**
 * Whether a record is meant; kur_letter_read makes a letter of any record, whether it is dead or not. `now_us` is the
 * present for `age`: who passes the same again gets the same answer. A filter of NULL means all, a letter of NULL is
 * never meant. Takes no memory. Any thread; one at a time per record.
 */
KUR_API bool kur_filter_matches(const kur_filter *filter, const kur_letter *letter, int64_t now_us);

/** The expression as it was given, for as long as the filter lives; NULL for NULL. Any thread. */
KUR_API const char *kur_filter_text(const kur_filter *filter);

/**
 * For people: appends the expression as one line and a second one with a caret under the character where it is wrong,
 * as kur_filter_new says. Long ones are cut on both sides to 72 characters. KUR_OK and nothing when it is right.
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY, and the buffer is as it was; else what kur_filter_new fails with.
 * Any thread.
 */
KUR_API kur_status kur_filter_explain(const char *text, kur_buffer *lines, kur_error *error);

/** Frees a filter that no thread uses; NULL does nothing. */
KUR_API void kur_filter_free(kur_filter *filter);

KUR_END_DECLS

#endif
