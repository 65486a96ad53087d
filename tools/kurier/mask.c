/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the text is gone through once, from name to name, and whatever it is a part of is not asked: JSON may
 * be cut, stand in a string with its quotes escaped, or in the message of an exception. A name whose value is secret is
 * followed by quotes, with as many backslashes before them as the nesting asks for, and by a colon or an equals sign;
 * the value then goes to the quote that closes it, to the bracket that closes it, or to where bare values end. In doubt
 * more is masked, never less.
 */
#include "mask.h"

#include "text.h"

enum {
    NAME_MAX = 64
};

/* ---- Names ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_short_secret(const char *word)
{
    static const char *const words[] = {"pwd", "pass", "pin",  "pan",    "otp",  "cvv",   "cvc",    "cvv2", "ssn",
                                        "jwt", "iban", "card", "cookie", "auth", "cards", "bearer", "pw",   NULL};
    for (size_t i = 0; words[i] != NULL; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

bool mask_is_secret(const char *name, size_t size)
{
    static const char *const parts[] = {"password",   "passwd",        "passphrase", "passcode",  "secret",
                                        "token",      "authorization", "apikey",     "accesskey", "privatekey",
                                        "credential", "creditcard",    "cardnumber", "cardno",    "cookie",
                                        "sessionid",  "sshkey",        "signingkey", NULL};
    char all[NAME_MAX + 1], word[NAME_MAX + 1];
    size_t all_size = 0, word_size = 0;
    bool is_secret = false;
    for (size_t i = 0; i <= size && all_size < NAME_MAX; i++) {
        char c = i < size ? name[i] : '\0';
        bool is_part = is_letter(c) || is_digit(c);
        /* A word ends at what is no letter, and before a capital behind a small one. */
        bool is_hump = c >= 'A' && c <= 'Z' && i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
        if (!is_part || is_hump) {
            word[word_size] = '\0';
            is_secret |= is_short_secret(word);
            word_size = 0;
        }
        if (is_part) {
            char small = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
            all[all_size++] = small;
            word[word_size++] = small;
        }
    }
    all[all_size] = '\0';
    for (size_t i = 0; parts[i] != NULL && !is_secret; i++)
        is_secret = strstr(all, parts[i]) != NULL;
    return is_secret;
}

/* ---- Going through ---- */

struct scan {
    const char *at, *end;
    kur_buffer *to;
};

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* How many backslashes stand before `at`, down to `start`. */
static size_t slashes_before(const char *at, const char *start)
{
    size_t count = 0;
    while (at > start && at[-1] == '\\') {
        at--;
        count++;
    }
    return count;
}

static int hex_of(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A letter written as \u0070, in any depth of escapes; its size, or 0. */
static size_t read_escaped(const char *at, const char *end, char *letter)
{
    const char *start = at;
    while (at < end && *at == '\\')
        at++;
    if (at == start || end - at < 5 || *at != 'u' || at[1] != '0' || at[2] != '0')
        return 0;
    int high = hex_of(at[3]), low = hex_of(at[4]);
    if (high < 0 || low < 0 || high > 7)
        return 0;
    char c = (char)(high * 16 + low);
    if (!(is_letter(c) || is_digit(c) || c == '_' || c == '-'))
        return 0;
    *letter = c;
    return (size_t)(at + 5 - start);
}

/* A name from `at` on, its letters in `name`; where it ends. Within quotes it may have blanks. */
static const char *read_name(const char *at, const char *end, bool is_quoted, char name[NAME_MAX], size_t *size)
{
    *size = 0;
    while (at < end) {
        char c = *at;
        size_t step = 1;
        if (!is_letter(c) && !is_digit(c) && strchr("_.-", c) == NULL && !(is_quoted && c == ' ')) {
            step = read_escaped(at, end, &c);
            if (step == 0)
                break;
        } else if (c == '\0') {
            break;
        }
        if (*size < NAME_MAX)
            name[(*size)++] = c;
        at += step;
    }
    return at;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at;
}

/* Behind a name: its closing quote and the sign between name and value; NULL when there is none. */
static const char *read_separator(const char *at, const char *end, const char *start, char *separator, size_t *slashes)
{
    const char *before = at;
    *slashes = 0;
    while (at < end && *at == '\\')
        at++;
    if (at < end && is_quote(*at)) {
        *slashes = slashes_before(at, before);
        at++;
    } else {
        at = before;
    }
    at = skip_blanks(at, end);
    if (at == end || (*at != ':' && *at != '=' && *at != '>'))
        return NULL;
    *separator = *at;
    /* <password>… is a name; a > b is none. */
    if (*at == '>' && (start == NULL || *start != '<'))
        return NULL;
    at++;
    return at < end && *separator == '=' && *at == '>' ? at + 1 : at;
}

/* ---- Values ---- */

/*
 * The end of a value in quotes that open with so many backslashes before them. Each level of nesting doubles what
 * stands before a quote within; a quote with fewer closes a string around.
 */
static const char *skip_quoted(const char *at, const char *end, char quote, size_t slashes)
{
    for (const char *start = at; at < end; at++) {
        if (*at != quote)
            continue;
        size_t count = slashes_before(at, start);
        if (count < slashes || count % (2 * (slashes + 1)) == slashes)
            return at;
    }
    return end;
}

/* The end of an object or array, behind its bracket. */
static const char *skip_brackets(const char *at, const char *end, size_t slashes)
{
    size_t depth = 0;
    for (const char *start = at; at < end; at++) {
        if (*at == '"' && slashes_before(at, start) == slashes) {
            at = skip_quoted(at + 1, end, '"', slashes);
            if (at == end)
                return end;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if ((*at == '}' || *at == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return end;
}

static const char *skip_bare(const char *at, const char *end, char separator)
{
    const char *ends = separator == '=' ? ",&;}])<>\"'\n\r\t " : separator == '>' ? "<" : ",&;}])<\"\n\r";
    while (at < end && (*at == '\0' || strchr(ends, *at) == NULL))
        at++;
    return at;
}

/* Takes the value behind `at` off, and puts the mask in its place. */
static void mask_value(struct scan *scan, const char *at, char separator, size_t slashes, bool is_quoted_name)
{
    const char *value = separator == '>' ? at : skip_blanks(at, scan->end), *quote = value;
    while (quote < scan->end && *quote == '\\')
        quote++;
    text_need(kur_buffer_append(scan->to, scan->at, (size_t)(value - scan->at)));
    if (separator != '>' && quote < scan->end && is_quote(*quote)) {
        const char *close = skip_quoted(quote + 1, scan->end, *quote, (size_t)(quote - value));
        text_need(kur_buffer_append(scan->to, value, (size_t)(quote + 1 - value)));
        text_put(scan->to, MASK_TEXT);
        /* The backslashes of the quote that closes stay with it; those before them are the value's. */
        size_t own = slashes_before(close, quote + 1), of_quote = (size_t)(quote - value);
        scan->at = close == scan->end ? close : close - (own < of_quote ? own : of_quote);
        return;
    }
    bool is_nested = value < scan->end && (*value == '{' || *value == '[');
    text_put(scan->to, is_quoted_name && slashes == 0 ? "\"" MASK_TEXT "\"" : MASK_TEXT);
    scan->at = is_nested ? skip_brackets(value, scan->end, slashes) : skip_bare(value, scan->end, separator);
}

void mask_text(kur_buffer *to, kur_bytes text)
{
    if (text.data == NULL)
        return;
    const char *start = text.data;
    struct scan scan = {.at = start, .end = start + text.size, .to = to};
    while (scan.at < scan.end) {
        char name[NAME_MAX], separator;
        size_t size, slashes;
        const char *before = scan.at > start ? scan.at - 1 : NULL;
        bool is_quoted = before != NULL && is_quote(*before);
        const char *behind = read_name(scan.at, scan.end, is_quoted, name, &size);
        if (size == 0) {
            text_need(kur_buffer_append(to, scan.at++, 1));
            continue;
        }
        const char *value =
            mask_is_secret(name, size) ? read_separator(behind, scan.end, before, &separator, &slashes) : NULL;
        if (value != NULL) {
            mask_value(&scan, value, separator, slashes, is_quoted);
        } else {
            text_need(kur_buffer_append(to, scan.at, (size_t)(behind - scan.at)));
            scan.at = behind;
        }
    }
}
