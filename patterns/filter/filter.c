/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a filter is its text and a tree, in one arena, and never changes; records are judged on any thread. The
 * tree is gone through once for a record, and left as soon as the answer is known: what stands first in an expression
 * is looked at first, so that a payload is read only for records that are not out already.
 */
#include <kurier/filter.h>

#include "filter/filter.h"

enum {
    SHOWN_MAX = 72 /* characters of an expression on a person's screen */
};

/* ---- Making ---- */

static kur_status check(const char *text, kur_error *error)
{
    if (text == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "text is NULL");
    size_t size = strnlen(text, KUR_FILTER_SIZE_MAX + 1);
    if (size > KUR_FILTER_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "character 1: the filter is longer than %d bytes",
                             KUR_FILTER_SIZE_MAX);
    if (!kur_bytes_is_utf8(kur_bytes_of(text, size)))
        return kur_error_set(error, KUR_ERROR_SYNTAX, "character 1: the filter is no UTF-8");
    return KUR_OK;
}

/* The tree of a text that was checked; `*wrong` is where it is not right, NULL when nothing is known of that. */
static const kur__node *parse(const char *text, kur_arena *arena, const char **wrong, kur_error *error)
{
    kur__parser parser = {.text = text, .at = text, .end = text + strlen(text), .arena = arena, .error = error};
    const kur__node *root = kur__parser_run(&parser);
    *wrong = parser.wrong;
    return root;
}

kur_filter *kur_filter_new(const char *text, kur_error *error)
{
    const char *wrong;
    if (check(text, error) != KUR_OK)
        return NULL;
    kur_arena *arena = kur_arena_new();
    kur_filter *filter = arena != NULL ? kur_arena_alloc(arena, sizeof *filter) : NULL;
    char *copy = filter != NULL ? kur_arena_copy(arena, text, strlen(text)) : NULL;
    if (copy == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a filter");
    const kur__node *root = copy != NULL ? parse(copy, arena, &wrong, error) : NULL;
    if (root == NULL) {
        kur_arena_free(arena);
        return NULL;
    }
    *filter = (kur_filter){.arena = arena, .text = copy, .root = root};
    return filter;
}

void kur_filter_free(kur_filter *filter)
{
    if (filter != NULL)
        kur_arena_free(filter->arena);
}

const char *kur_filter_text(const kur_filter *filter)
{
    return filter != NULL ? filter->text : NULL;
}

/* ---- Judging ---- */

static bool is_equal(const kur__value *value, const kur__value *literal)
{
    int order;
    if (value->kind == KUR__NULL || literal->kind == KUR__NULL)
        return value->kind == literal->kind;
    return kur__value_compare(value, literal, &order) && order == 0;
}

static bool is_any(const kur__value *value, const kur__literal *literals)
{
    for (; literals != NULL; literals = literals->next)
        if (is_equal(value, &literals->value))
            return true;
    return false;
}

/* Not equal, but of one kind; all that is there is not null. */
static bool is_different(const kur__value *value, const kur__value *literal)
{
    int order;
    if (value->kind == KUR__NULL || literal->kind == KUR__NULL)
        return value->kind != KUR__NULL;
    return kur__value_compare(value, literal, &order) && order != 0;
}

static bool is_in_order(const kur__value *value, const kur__node *node)
{
    int order;
    if (!kur__value_compare(value, &node->literals->value, &order))
        return false;
    return node->kind == KUR__LESS            ? order < 0
           : node->kind == KUR__LESS_OR_EQUAL ? order <= 0
           : node->kind == KUR__MORE          ? order > 0
                                              : order >= 0;
}

static bool holds_comparison(const kur__node *node, const kur_letter *letter, int64_t now_us)
{
    const kur__value value = kur__field_get(&node->field, letter, now_us);
    switch (node->kind) {
    case KUR__EXISTS:
        return value.kind != KUR__NULL;
    case KUR__EQUAL:
        return is_any(&value, node->literals);
    case KUR__DIFFERENT:
        return is_different(&value, &node->literals->value);
    case KUR__FITS:
        return kur__pattern_fits(node->pattern, &value);
    default:
        return is_in_order(&value, node);
    }
}

/* As deep as the expression was allowed to be. */
static bool holds(const kur__node *node, const kur_letter *letter, int64_t now_us)
{
    if (node->kind == KUR__NOT)
        return !holds(node->first, letter, now_us);
    if (node->kind != KUR__AND && node->kind != KUR__OR)
        return holds_comparison(node, letter, now_us);
    bool is_over_with = node->kind == KUR__OR;
    for (const kur__node *one = node->first; one != NULL; one = one->next)
        if (holds(one, letter, now_us) == is_over_with)
            return is_over_with;
    return !is_over_with;
}

bool kur_filter_matches(const kur_filter *filter, const kur_letter *letter, int64_t now_us)
{
    return letter != NULL && (filter == NULL || holds(filter->root, letter, now_us));
}

/* ---- For people ---- */

static const char *step_back(const char *at, const char *start)
{
    do
        at--;
    while (at > start && ((unsigned char)*at & 0xc0) == 0x80);
    return at;
}

static const char *step_on(const char *at)
{
    do
        at++;
    while (((unsigned char)*at & 0xc0) == 0x80);
    return at;
}

/* The line around a place: two thirds of it in front, so that what led there is seen. */
static kur_status show(const char *text, const char *wrong, kur_buffer *lines)
{
    const char *from = wrong, *to = wrong;
    int before = 0, shown = 0;
    for (; from > text && before < SHOWN_MAX * 2 / 3; before++)
        from = step_back(from, text);
    for (shown = before; *to != '\0' && shown < SHOWN_MAX; shown++)
        to = step_on(to);
    kur_status status = kur_buffer_append(lines, from > text ? "…" : "", from > text ? 3 : 0);
    for (const char *at = from; at < to && status == KUR_OK; at++)
        status = kur_buffer_append(lines, (unsigned char)*at < 0x20 || *at == 0x7f ? " " : at, 1);
    if (status == KUR_OK)
        status = kur_buffer_print(lines, "%s\n%*s^\n", *to != '\0' ? "…" : "", before + (from > text), "");
    return status;
}

kur_status kur_filter_explain(const char *text, kur_buffer *lines, kur_error *error)
{
    const char *wrong = text;
    kur_error why = {0};
    if (lines == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "lines is NULL");
    kur_status status = check(text, &why);
    bool is_readable = status == KUR_OK;
    if (is_readable) {
        kur_arena *arena = kur_arena_new();
        if (arena == NULL)
            kur_error_set(&why, KUR_ERROR_NO_MEMORY, "out of memory: a filter");
        else
            parse(text, arena, &wrong, &why);
        kur_arena_free(arena);
    }
    size_t before = lines->size;
    if (is_readable && why.code != KUR_OK && why.code != KUR_ERROR_NO_MEMORY && show(text, wrong, lines) != KUR_OK) {
        kur_error_set(&why, KUR_ERROR_NO_MEMORY, "out of memory: a filter");
        lines->size = before;
        if (lines->data != NULL)
            lines->data[before] = '\0';
    }
    if (why.code != KUR_OK && error != NULL)
        *error = why;
    return why.code;
}
