/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Cuts an expression into tokens, and says what is wrong and where. The text is UTF-8 and ends with NUL.
 */
#include <stdarg.h>
#include <stdio.h>

#include "filter/filter.h"

enum {
    FOUND_MAX = 40
};

/* ---- What is wrong ---- */

static size_t characters(const char *from, const char *to)
{
    size_t count = 0;
    for (; from < to; from++)
        count += ((unsigned char)*from & 0xc0) != 0x80;
    return count;
}

static void set(kur__parser *parser, const char *where, kur_status status, const char *format, va_list arguments)
{
    char what[400];
    if (parser->status != KUR_OK)
        return;
    vsnprintf(what, sizeof what, format, arguments);
    parser->wrong = where;
    parser->status =
        kur_error_set(parser->error, status, "character %zu: %s", characters(parser->text, where) + 1, what);
}

bool kur__parser_fail(kur__parser *parser, const char *where, kur_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set(parser, where, status, format, arguments);
    va_end(arguments);
    return false;
}

bool kur__parser_wrong(kur__parser *parser, const char *format, ...)
{
    char what[360];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const kur__token *token = &parser->token;
    bool is_end = token->kind == KUR__TOKEN_END;
    bool is_quoted = token->kind == KUR__TOKEN_QUOTED;
    size_t size = (size_t)(parser->at - token->start);
    /* At a character's boundary. */
    while (size > FOUND_MAX || (size > 0 && ((unsigned char)token->start[size] & 0xc0) == 0x80))
        size--;
    return kur__parser_fail(parser, token->start, KUR_ERROR_SYNTAX, "%s, found %s%.*s", what,
                            is_end      ? "the end"
                            : is_quoted ? "the text "
                                        : "",
                            is_end ? 0 : (int)size, token->start);
}

bool kur__parser_no_memory(kur__parser *parser)
{
    if (parser->status == KUR_OK)
        parser->status = kur_error_set(parser->error, KUR_ERROR_NO_MEMORY, "out of memory: a filter");
    return false;
}

/* ---- Tokens ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static const char *end_of_word(const char *at)
{
    while (is_letter(*at) || is_digit(*at) || *at == '-')
        at++;
    return at;
}

/* Everything that a number, a duration or a time may hold; literal.c tells whether it is one. */
static const char *end_of_numeral(const char *at)
{
    while (is_letter(*at) || is_digit(*at) || *at == '.' || *at == '-' || *at == '+' || *at == ':')
        at++;
    return at;
}

static bool read_quoted(kur__parser *parser)
{
    const char *start = parser->at, *at = start + 1;
    while (*at != *start && *at != '\0')
        at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    if (*at == '\0')
        return kur__parser_fail(parser, start, KUR_ERROR_SYNTAX, "the text that begins here has no end: expected %c",
                                *start);
    parser->token.kind = KUR__TOKEN_QUOTED;
    parser->token.text = kur_bytes_of(start + 1, (size_t)(at - start - 1));
    parser->at = at + 1;
    return true;
}

bool kur__lexer_next(kur__parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\n' || *parser->at == '\r')
        parser->at++;
    const char *at = parser->at;
    kur__token *token = &parser->token;
    *token = (kur__token){.kind = KUR__TOKEN_END, .start = at};
    if (*at == '"' || *at == '\'')
        return read_quoted(parser);
    if (is_letter(*at)) {
        token->kind = KUR__TOKEN_WORD;
        parser->at = end_of_word(at);
    } else if (is_digit(*at) || (*at == '-' && is_digit(at[1]))) {
        token->kind = KUR__TOKEN_NUMERAL;
        parser->at = end_of_numeral(at);
    } else if (*at != '\0') {
        bool is_double = strchr("=!<>", *at) != NULL && at[1] == '=';
        token->kind = is_double || strchr("()[],.=<>~", *at) != NULL ? KUR__TOKEN_SIGN : KUR__TOKEN_NONE;
        parser->at += is_double ? 2 : 1;
    }
    token->text = kur_bytes_of(at, (size_t)(parser->at - at));
    return true;
}

bool kur__token_is(const kur__parser *parser, const char *text)
{
    return (parser->token.kind == KUR__TOKEN_WORD || parser->token.kind == KUR__TOKEN_SIGN) &&
           kur_bytes_equal(parser->token.text, kur_bytes_text(text));
}
