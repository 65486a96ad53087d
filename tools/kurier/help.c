/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <stdio.h>

#include "table.h"
#include "text.h"

enum {
    OPTION_COLUMN = 23,
    WIDTH_MAX = 100,
    WIDTH_MIN = 40
};

const char help_status[] = "Exit status: 0 done, 1 failed, 2 done in part, 3 refused and nothing was done, 4 not known "
                           "whether it was done.";

static size_t width(void)
{
    size_t terminal = table_width();
    return terminal == 0 || terminal > WIDTH_MAX ? WIDTH_MAX : terminal < WIDTH_MIN ? WIDTH_MIN : terminal;
}

/* ---- Filling ---- */

/* Prints a paragraph, its lines filled; `column` is where the cursor stands and where further lines begin. */
static void fill(const char *text, size_t size, size_t column)
{
    size_t at = column, most = width();
    const char *end = text + size;
    while (text < end) {
        while (text < end && (*text == ' ' || *text == '\n'))
            text++;
        size_t bytes = 0;
        while (text + bytes < end && text[bytes] != ' ' && text[bytes] != '\n')
            bytes++;
        if (bytes == 0)
            break;
        size_t characters = text_width(kur_bytes_of(text, bytes));
        if (at > column && at + 1 + characters > most) {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        at += (size_t)printf("%s", at > column ? " " : "") + characters;
        printf("%.*s", (int)bytes, text);
        text += bytes;
    }
    putchar('\n');
}

/* A text of the tables. */
static void print_text(const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (size > 0 && text[0] != ' ') { /* to the end of the paragraph */
            const char *end = text + size;
            while (end[0] == '\n' && end[1] != '\n' && end[1] != ' ' && end[1] != '\0')
                end += 1 + strcspn(end + 1, "\n");
            fill(text, (size_t)(end - text), 0);
            text = end + (*end == '\n');
        } else {
            printf("%.*s\n", (int)size, text);
            text += size + (text[size] == '\n');
        }
    }
}

/* ---- Options ---- */

bool help_is_hidden(const struct verb *verb, size_t set, const struct option *option)
{
    for (size_t i = 0; i < set; i++)
        for (const struct option *other = verb->options[i]->list; other->name != NULL; other++)
            if (strcmp(other->name, option->name) == 0)
                return true;
    return false;
}

static void print_option(const char *name, const char *value, const char *help)
{
    size_t used = (size_t)printf("  %s", name);
    if (value != NULL) {
        printf(" %s", value);
        used += 1 + text_width(kur_bytes_text(value));
    }
    if (used + 1 < OPTION_COLUMN)
        printf("%*s", (int)(OPTION_COLUMN - used), "");
    else
        printf("\n%*s", OPTION_COLUMN, "");
    fill(help, strlen(help), OPTION_COLUMN);
}

static void print_options(const struct verb *verb)
{
    for (size_t set = 0; set < OPTION_SETS_MAX && verb->options[set] != NULL; set++) {
        const struct options *options = verb->options[set];
        if (options->title != NULL) {
            if (set > 0)
                putchar('\n');
            print_text(options->title);
        }
        for (const struct option *option = options->list; option->name != NULL; option++)
            if (!help_is_hidden(verb, set, option))
                print_option(option->name, option->value, option->help);
        if (options->title != NULL)
            putchar('\n');
    }
    print_option("--help", NULL, "print this");
}

/* ---- The levels ---- */

/* Names in a column, and beside them what they are. */
static void print_entry(const char *name, const char *arguments, const char *summary, size_t column)
{
    size_t used = (size_t)printf("  %s", name);
    if (arguments != NULL) {
        printf(" %s", arguments);
        used += 1 + text_width(kur_bytes_text(arguments));
    }
    printf("%*s", used + 1 < column ? (int)(column - used) : 2, "");
    fill(summary, strlen(summary), used + 1 < column ? column : used + 2);
}

void help_all(void)
{
    printf("usage: kurier NOUN [VERB] [ARGUMENT…] [OPTION…]\n"
           "       kurier NOUN [VERB] --help\n"
           "\n");
    for (size_t i = 0; nouns[i] != NULL; i++)
        if (!nouns[i]->is_hidden)
            print_entry(nouns[i]->name, NULL, nouns[i]->summary, 14);
    printf("\n"
           "  --help      print this\n"
           "  --version   print the version of the library\n"
           "\n");
    print_text(help_status);
    print_text("doctor and lag --fail-over have their own.");
}

void help_noun(const struct noun *noun)
{
    size_t column = 0;
    printf("usage: kurier %s VERB [ARGUMENT…] [OPTION…]\n"
           "       kurier %s VERB --help\n"
           "\n",
           noun->name, noun->name);
    print_text(noun->about);
    putchar('\n');
    for (size_t i = 0; noun->verbs[i] != NULL; i++) {
        const char *arguments = noun->verbs[i]->arguments;
        size_t used =
            4 + strlen(noun->verbs[i]->name) + (arguments != NULL ? 1 + text_width(kur_bytes_text(arguments)) : 0);
        if (used > column && used < 50)
            column = used;
    }
    for (size_t i = 0; noun->verbs[i] != NULL; i++)
        print_entry(noun->verbs[i]->name, noun->verbs[i]->arguments, noun->verbs[i]->summary, column);
    putchar('\n');
    print_text(help_status);
}

void help_verb(const struct noun *noun, const struct verb *verb)
{
    printf("usage: kurier %s%s%s%s%s [OPTION…]\n\n", noun->name, verb->name != NULL ? " " : "",
           verb->name != NULL ? verb->name : "", verb->arguments != NULL ? " " : "",
           verb->arguments != NULL ? verb->arguments : "");
    print_text(verb->about);
    putchar('\n');
    print_options(verb);
    if (verb->notes != NULL) {
        putchar('\n');
        print_text(verb->notes);
    }
}
