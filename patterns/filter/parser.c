/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: recursive descent, a token ahead; only "(" and "not" go deeper, and they are counted. A comparison that
 * no record can pass by its kinds (a partition with a text) is refused here, where a person sees it: later it would be
 * false in silence.
 */
#include <stdio.h>

#include "filter/filter.h"

enum {
    INDEX_DIGITS_MAX = 9,
    NAME_MAX_SIZE = 40 /* of a field that has no path */
};

static kur__node *read_filter(kur__parser *parser);

static bool next(kur__parser *parser)
{
    return kur__lexer_next(parser);
}

static bool take(kur__parser *parser, const char *text)
{
    return kur__token_is(parser, text) && next(parser);
}

static bool need(kur__parser *parser, const char *text)
{
    if (!kur__token_is(parser, text))
        return kur__parser_wrong(parser, "expected \"%s\"", text);
    return next(parser);
}

static void *alloc(kur__parser *parser, size_t size)
{
    void *memory = kur_arena_alloc(parser->arena, size);
    if (memory == NULL)
        kur__parser_no_memory(parser);
    return memory;
}

static kur__node *new_node(kur__parser *parser, kur__node_kind kind)
{
    kur__node *node = alloc(parser, sizeof *node);
    if (node != NULL)
        node->kind = kind;
    return node;
}

/* ---- Fields ---- */

/* ["a name"] or [0], behind the bracket. */
static bool read_subscript(kur__parser *parser, kur__step *step)
{
    const kur__token *token = &parser->token;
    const char *digits = token->text.data;
    if (token->kind == KUR__TOKEN_QUOTED)
        return kur__literal_text(parser, &step->name) && next(parser) && need(parser, "]");
    if (token->kind != KUR__TOKEN_NUMERAL || token->text.size > INDEX_DIGITS_MAX ||
        strspn(digits, "0123456789") < token->text.size)
        return kur__parser_wrong(parser, "expected an index such as 0, or a name in quotes");
    for (size_t i = 0; i < token->text.size; i++)
        step->index = step->index * 10 + (uint32_t)(digits[i] - '0');
    return next(parser) && need(parser, "]");
}

static bool read_path(kur__parser *parser, const kur__step **path)
{
    kur__step *first = NULL, **last = &first;
    if (++parser->paths > KUR_FILTER_PATHS_MAX)
        return kur__parser_fail(parser, parser->token.start, KUR_ERROR_TOO_LARGE,
                                "more than %d paths into the payload; in (…) compares one with many values",
                                KUR_FILTER_PATHS_MAX);
    for (int steps = 0; kur__token_is(parser, ".") || kur__token_is(parser, "["); steps++) {
        bool is_subscript = kur__token_is(parser, "[");
        if (steps == KUR_FILTER_DEPTH_MAX)
            return kur__parser_fail(parser, parser->token.start, KUR_ERROR_TOO_LARGE, "more than %d steps of a path",
                                    KUR_FILTER_DEPTH_MAX);
        kur__step *step = alloc(parser, sizeof *step);
        if (step == NULL || !next(parser))
            return false;
        if (!is_subscript && parser->token.kind != KUR__TOKEN_WORD)
            return kur__parser_wrong(parser,
                                     "expected the name of a member; others than a-z A-Z 0-9 _ - stand as [\"…\"]");
        if (!is_subscript)
            step->name = parser->token.text;
        if (is_subscript ? !read_subscript(parser, step) : !next(parser))
            return false;
        *last = step;
        last = &step->next;
    }
    *path = first;
    return true;
}

static bool read_header(kur__parser *parser, const char **name)
{
    kur_bytes text;
    if (!need(parser, "("))
        return false;
    if (parser->token.kind != KUR__TOKEN_QUOTED)
        return kur__parser_wrong(parser, "expected the name of a header in quotes");
    if (!kur__literal_text(parser, &text))
        return false;
    *name = kur_arena_copy(parser->arena, text.data, text.size);
    return *name != NULL ? next(parser) && need(parser, ")") : kur__parser_no_memory(parser);
}

static bool fail_unknown(kur__parser *parser, const char *start, const char *name)
{
    char list[320] = "";
    size_t size = 0;
    for (int i = 0; i < KUR__FIELDS && size < sizeof list; i++)
        size += (size_t)snprintf(list + size, sizeof list - size, "%s%s%s", i > 0 ? ", " : "", kur__field_list[i].name,
                                 i == KUR__FIELD_HEADER    ? "(\"…\")"
                                 : i == KUR__FIELD_PAYLOAD ? ".…"
                                                           : "");
    return kur__parser_fail(parser, start, KUR_ERROR_SYNTAX, "there is no field \"%s\": expected one of %s", name,
                            list);
}

/* Names hold dots themselves, but for the payload's. */
static bool read_name(kur__parser *parser, kur__field_id *id)
{
    char name[NAME_MAX_SIZE + 4];
    const char *start = parser->token.start;
    int size = 0;
    for (bool is_first = true; is_first || take(parser, "."); is_first = false) {
        if (parser->token.kind != KUR__TOKEN_WORD)
            return kur__parser_wrong(parser, "expected the rest of a field's name");
        kur_bytes word = parser->token.text;
        size += snprintf(name + size, sizeof name - (size_t)size, "%s%.*s", is_first ? "" : ".",
                         (int)(word.size < NAME_MAX_SIZE ? word.size : NAME_MAX_SIZE), (const char *)word.data);
        if (size > NAME_MAX_SIZE)
            size = NAME_MAX_SIZE;
        if (!next(parser))
            return false;
        if (strcmp(name, kur__field_list[KUR__FIELD_PAYLOAD].name) == 0)
            break;
    }
    for (int i = 0; i < KUR__FIELDS; i++)
        if (strcmp(name, kur__field_list[i].name) == 0) {
            *id = (kur__field_id)i;
            return true;
        }
    return parser->status == KUR_OK && fail_unknown(parser, start, name);
}

static unsigned kinds_of(const kur__field *field)
{
    return field->is_number ? KUR__NUMBER : kur__field_list[field->id].kinds;
}

static const char *name_of(const kur__field *field)
{
    return field->is_number ? "number(…)" : kur__field_list[field->id].name;
}

static bool read_plain_field(kur__parser *parser, kur__field *field)
{
    if (parser->token.kind != KUR__TOKEN_WORD)
        return kur__parser_wrong(parser, "expected a field");
    if (!read_name(parser, &field->id))
        return false;
    if (field->id == KUR__FIELD_HEADER)
        return read_header(parser, &field->header);
    return field->id != KUR__FIELD_PAYLOAD || read_path(parser, &field->path);
}

static bool read_field(kur__parser *parser, kur__field *field)
{
    if (!kur__token_is(parser, "number"))
        return read_plain_field(parser, field);
    if (!next(parser) || !need(parser, "("))
        return false;
    const char *start = parser->token.start;
    if (!read_plain_field(parser, field))
        return false;
    if ((kinds_of(field) & KUR__TEXT) == 0)
        return kur__parser_fail(parser, start, KUR_ERROR_SYNTAX, "expected a field that is a text, found %s",
                                name_of(field));
    field->is_number = true;
    return need(parser, ")");
}

/* ---- Literals ---- */

static const char *wanted(unsigned kinds)
{
    if (kinds == KUR__TEXT)
        return "is a text: expected one in quotes";
    if (kinds == KUR__NUMBER)
        return "is a number: expected one such as 17";
    if (kinds == KUR__DURATION)
        return "is a duration: expected one such as 90s, 15m, 2h or 7d";
    if (kinds == KUR__TIME)
        return "is a time: expected one such as 2026-11-28T21:30:00Z";
    if ((kinds & KUR__NUMBER) == 0)
        return "is a text: expected one in quotes, or a time";
    return "is JSON: expected a text in quotes, a number, a time, true, false or null";
}

static bool fail_kind(kur__parser *parser, const kur__field *field)
{
    return kur__parser_wrong(parser, "%s %s", name_of(field), wanted(kinds_of(field)));
}

static bool read_value(kur__parser *parser, kur__value *value)
{
    *value = (kur__value){.kind = KUR__NULL};
    if (parser->token.kind == KUR__TOKEN_QUOTED) {
        value->kind = KUR__TEXT;
        return kur__literal_text(parser, &value->text);
    }
    if (parser->token.kind == KUR__TOKEN_NUMERAL)
        return kur__literal_numeral(parser, value);
    if (kur__token_is(parser, "null"))
        return true;
    value->kind = KUR__BOOLEAN;
    value->boolean = kur__token_is(parser, "true");
    return value->boolean || kur__token_is(parser, "false");
}

/* Appends a literal that a field can be compared with in this way. */
static kur__literal *read_literal(kur__parser *parser, const kur__node *node)
{
    kur__literal *literal = alloc(parser, sizeof *literal);
    if (literal == NULL)
        return NULL;
    kur__kind kind = read_value(parser, &literal->value) ? literal->value.kind : KUR__COMPOUND;
    bool is_equality = node->kind == KUR__EQUAL || node->kind == KUR__DIFFERENT;
    if (kind != KUR__NULL && (kinds_of(&node->field) & kind) == 0)
        return fail_kind(parser, &node->field), NULL;
    if ((kind == KUR__NULL || kind == KUR__BOOLEAN) && !is_equality)
        return kur__parser_wrong(parser, "expected a value that has an order"), NULL;
    return next(parser) ? literal : NULL;
}

static bool read_list(kur__parser *parser, kur__node *node)
{
    const kur__literal **last = &node->literals;
    if (!need(parser, "("))
        return false;
    do {
        kur__literal *literal = read_literal(parser, node);
        if (literal == NULL)
            return false;
        *last = literal;
        last = (const kur__literal **)&literal->next;
    } while (take(parser, ","));
    return kur__token_is(parser, ")") ? next(parser) : kur__parser_wrong(parser, "expected \",\" or \")\"");
}

static bool read_pattern(kur__parser *parser, kur__node *node)
{
    if ((kinds_of(&node->field) & KUR__TEXT) == 0)
        return kur__parser_fail(
            parser, parser->token.start, KUR_ERROR_SYNTAX,
            "%s is no text, which ~ matches: expected =, !=, <, <=, > or >=", name_of(&node->field));
    if (!next(parser))
        return false;
    if (parser->token.kind != KUR__TOKEN_QUOTED)
        return kur__parser_wrong(parser, "expected a pattern in quotes, such as \"smtp.*\"");
    return kur__literal_pattern(parser, &node->pattern) && next(parser);
}

/* ---- Comparisons and what joins them ---- */

static bool read_comparison(kur__parser *parser, kur__node *node)
{
    static const struct {
        const char *text;
        kur__node_kind kind;
    } operators[] = {{"=", KUR__EQUAL},          {"==", KUR__EQUAL}, {"!=", KUR__DIFFERENT},    {"<", KUR__LESS},
                     {"<=", KUR__LESS_OR_EQUAL}, {">", KUR__MORE},   {">=", KUR__MORE_OR_EQUAL}};
    node->kind = KUR__FITS;
    if (kur__token_is(parser, "~"))
        return read_pattern(parser, node);
    node->kind = KUR__EQUAL;
    if (take(parser, "in"))
        return read_list(parser, node);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!kur__token_is(parser, operators[i].text))
            continue;
        node->kind = operators[i].kind;
        return next(parser) && (node->literals = read_literal(parser, node)) != NULL;
    }
    return kur__parser_wrong(parser, "expected =, !=, <, <=, >, >=, ~ or in");
}

static kur__node *read_exists(kur__parser *parser)
{
    kur__node *node = new_node(parser, KUR__EXISTS);
    return node != NULL && need(parser, "(") && read_field(parser, &node->field) && need(parser, ")") ? node : NULL;
}

static bool go_deeper(kur__parser *parser)
{
    return ++parser->depth <= KUR_FILTER_DEPTH_MAX || kur__parser_fail(parser, parser->token.start, KUR_ERROR_TOO_LARGE,
                                                                       "more than %d of \"(\" and \"not\" within one "
                                                                       "another",
                                                                       KUR_FILTER_DEPTH_MAX);
}

static kur__node *read_factor(kur__parser *parser);

static kur__node *read_not(kur__parser *parser)
{
    kur__node *node = new_node(parser, KUR__NOT);
    if (node == NULL || !go_deeper(parser) || !next(parser) || (node->first = read_factor(parser)) == NULL)
        return NULL;
    parser->depth--;
    return node;
}

static kur__node *read_parentheses(kur__parser *parser)
{
    if (!go_deeper(parser) || !next(parser))
        return NULL;
    kur__node *node = read_filter(parser);
    if (node == NULL)
        return NULL;
    parser->depth--;
    if (!kur__token_is(parser, ")"))
        return kur__parser_wrong(parser, "expected \"and\", \"or\" or \")\""), NULL;
    return next(parser) ? node : NULL;
}

static kur__node *read_factor(kur__parser *parser)
{
    if (kur__token_is(parser, "("))
        return read_parentheses(parser);
    if (kur__token_is(parser, "not"))
        return read_not(parser);
    if (take(parser, "exists"))
        return read_exists(parser);
    if (parser->token.kind != KUR__TOKEN_WORD)
        return kur__parser_wrong(parser, "expected a field, \"not\", \"exists\" or \"(\""), NULL;
    kur__node *node = new_node(parser, KUR__EQUAL);
    return node != NULL && read_field(parser, &node->field) && read_comparison(parser, node) ? node : NULL;
}

/* One or more, joined by a word. */
static kur__node *read_joined(kur__parser *parser, const char *word, kur__node_kind kind,
                              kur__node *(*read_one)(kur__parser *parser))
{
    kur__node *node = read_one(parser);
    if (node == NULL || !kur__token_is(parser, word))
        return node;
    kur__node *joined = new_node(parser, kind);
    if (joined == NULL)
        return NULL;
    joined->first = node;
    while (take(parser, word)) {
        if ((node->next = read_one(parser)) == NULL)
            return NULL;
        node = node->next;
    }
    return joined;
}

static kur__node *read_and(kur__parser *parser)
{
    return read_joined(parser, "and", KUR__AND, read_factor);
}

static kur__node *read_filter(kur__parser *parser)
{
    return read_joined(parser, "or", KUR__OR, read_and);
}

const kur__node *kur__parser_run(kur__parser *parser)
{
    const kur__node *root = next(parser) ? read_filter(parser) : NULL;
    if (root != NULL && parser->status == KUR_OK && parser->token.kind != KUR__TOKEN_END)
        kur__parser_wrong(parser, "expected \"and\", \"or\" or the end");
    return parser->status == KUR_OK ? root : NULL;
}
