/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier reference`: what the tables say, for docs/commands.md and for the man page. Not for users; a test compares
 * the page in the repository, and the man page is made when the tool is built.
 */
#include <errno.h>
#include <stdio.h>

#include "database.h"
#include "help.h"
#include "registry.h"
#include "text.h"

/* What many verbs take stands on a page once. */
static const struct shared {
    const struct options *options;
    const char *title, *link, *capitals, *about;
} shared[] = {{&connect_options, "How Kafka is found", "- and [how Kafka is found](#how-kafka-is-found)\n",
               "HOW KAFKA IS FOUND", "Every command that needs Kafka takes these:\n"},
              {&database_options, "Which database", "- and [which database](#which-database)\n", "WHICH DATABASE",
               "Every command that works on a database takes these:\n"},
              {&registry_options, "Which schema registry", "- and [which schema registry](#which-schema-registry)\n",
               "WHICH SCHEMA REGISTRY", "Every command that works with schemas takes these:\n"}};

enum {
    SHARED = sizeof shared / sizeof *shared
};

static const struct shared *shared_of(const struct options *options)
{
    for (size_t i = 0; i < SHARED; i++)
        if (shared[i].options == options)
            return &shared[i];
    return NULL;
}

/* ---- Markdown ---- */

/* Angle brackets and bars would be read as marks. */
static void print_safe(const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("<>|*_", *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* A text of the tables: its indented lines are code. */
static void print_paragraphs(const char *text)
{
    bool is_code = false;
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (size > 0 && (text[0] == ' ') != is_code) {
            is_code = !is_code;
            puts("```");
        }
        char line[2048];
        snprintf(line, sizeof line, "%.*s", (int)size, text);
        if (is_code)
            printf("%s\n", line);
        else
            print_safe(line), putchar('\n');
        text += size + (text[size] == '\n');
    }
    if (is_code)
        puts("```");
}

static void markdown_option(const struct option *option)
{
    printf("- `%s%s%s` ", option->name, option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
    print_safe(option->help);
    putchar('\n');
}

static void markdown_verb(const struct noun *noun, const struct verb *verb)
{
    printf("\n%s `kurier %s%s%s`\n\n", verb->name != NULL ? "###" : "##", noun->name, verb->name != NULL ? " " : "",
           verb->name != NULL ? verb->name : "");
    printf("    kurier %s%s%s%s%s [OPTION…]\n\n", noun->name, verb->name != NULL ? " " : "",
           verb->name != NULL ? verb->name : "", verb->arguments != NULL ? " " : "",
           verb->arguments != NULL ? verb->arguments : "");
    print_paragraphs(verb->about);
    printf("\n");
    for (size_t set = 0; set < OPTION_SETS_MAX && verb->options[set] != NULL; set++) {
        if (shared_of(verb->options[set]) != NULL)
            continue;
        if (verb->options[set]->title != NULL)
            printf("\n%s\n\n", verb->options[set]->title);
        for (const struct option *option = verb->options[set]->list; option->name != NULL; option++)
            if (!help_is_hidden(verb, set, option))
                markdown_option(option);
    }
    for (size_t set = 0; set < OPTION_SETS_MAX && verb->options[set] != NULL; set++)
        if (shared_of(verb->options[set]) != NULL)
            fputs(shared_of(verb->options[set])->link, stdout);
    if (verb->notes != NULL) {
        printf("\n");
        print_paragraphs(verb->notes);
    }
}

static int markdown(struct invocation *call)
{
    (void)call;
    printf("# Commands\n\n"
           "What `kurier --help` says, on one page: `kurier reference markdown` has written it.\n\n");
    print_paragraphs(help_status);
    for (size_t i = 0; i < SHARED; i++) {
        printf("\n## %s\n\n", shared[i].title);
        for (const struct option *option = shared[i].options->list; option->name != NULL; option++)
            markdown_option(option);
    }
    for (size_t i = 0; nouns[i] != NULL; i++) {
        const struct noun *noun = nouns[i];
        if (noun->is_hidden)
            continue;
        if (noun->verbs[0]->name != NULL) {
            printf("\n## `kurier %s`\n\n", noun->name);
            print_paragraphs(noun->about);
        }
        for (size_t k = 0; noun->verbs[k] != NULL; k++)
            markdown_verb(noun, noun->verbs[k]);
    }
    return EXIT_DONE;
}

/* ---- The man page ---- */

/* Backslashes and hyphens are what they are, and no line is an order. */
static void man_text(const char *text, size_t size)
{
    if (size > 0 && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", stdout);
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\\')
            fputs("\\e", stdout);
        else if (text[i] == '-')
            fputs("\\-", stdout);
        else
            putchar(text[i]);
}

static void man_paragraphs(const char *text)
{
    bool is_code = false;
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (size > 0 && (text[0] == ' ') != is_code) {
            is_code = !is_code;
            puts(is_code ? ".nf" : ".fi");
        }
        if (size == 0)
            puts(".PP");
        else
            man_text(text, size), putchar('\n');
        text += size + (text[size] == '\n');
    }
    if (is_code)
        puts(".fi");
}

static void man_option(const struct option *option)
{
    fputs(".TP\n\\fB", stdout);
    man_text(option->name, strlen(option->name));
    fputs("\\fR", stdout);
    if (option->value != NULL) {
        fputs(" \\fI", stdout);
        man_text(option->value, strlen(option->value));
        fputs("\\fR", stdout);
    }
    putchar('\n');
    man_text(option->help, strlen(option->help));
    putchar('\n');
}

static void man_verb(const struct noun *noun, const struct verb *verb)
{
    printf(".SS kurier %s%s%s%s%s\n", noun->name, verb->name != NULL ? " " : "", verb->name != NULL ? verb->name : "",
           verb->arguments != NULL ? " " : "", verb->arguments != NULL ? verb->arguments : "");
    man_paragraphs(verb->about);
    for (size_t set = 0; set < OPTION_SETS_MAX && verb->options[set] != NULL; set++) {
        if (shared_of(verb->options[set]) != NULL)
            continue;
        if (verb->options[set]->title != NULL) {
            puts(".PP");
            man_paragraphs(verb->options[set]->title);
        }
        for (const struct option *option = verb->options[set]->list; option->name != NULL; option++)
            if (!help_is_hidden(verb, set, option))
                man_option(option);
    }
    if (verb->notes != NULL) {
        puts(".PP");
        man_paragraphs(verb->notes);
    }
}

static void man_commands(void)
{
    for (size_t i = 0; nouns[i] != NULL; i++) {
        if (nouns[i]->is_hidden)
            continue;
        for (size_t k = 0; nouns[i]->verbs[k] != NULL; k++)
            man_verb(nouns[i], nouns[i]->verbs[k]);
    }
    for (size_t i = 0; i < SHARED; i++) {
        printf(".SH %s\n%s", shared[i].capitals, shared[i].about);
        for (const struct option *option = shared[i].options->list; option->name != NULL; option++)
            man_option(option);
    }
}

/* The page with @COMMANDS@ replaced. */
static int man(struct invocation *call)
{
    char line[4096];
    FILE *page = call->argument_count == 1 ? fopen(call->arguments[0], "re") : NULL;
    if (page == NULL)
        return command_fail(call->noun, "which page? %s", strerror(errno));
    while (fgets(line, sizeof line, page) != NULL)
        if (strcmp(line, "@COMMANDS@\n") == 0)
            man_commands();
        else
            fputs(line, stdout);
    fclose(page);
    return EXIT_DONE;
}

/* ---- The noun ---- */

static struct invocation state;

static const struct verb markdown_verb_entry = {.name = "markdown",
                                                .summary = "docs/commands.md",
                                                .about = "Prints docs/commands.md.",
                                                .state = &state,
                                                .run = markdown};
static const struct verb man_verb_entry = {.name = "man",
                                           .arguments = "PAGE",
                                           .summary = "the man page",
                                           .about = "Prints PAGE with what the commands say in it.",
                                           .state = &state,
                                           .run = man};
static const struct verb *const verbs[] = {&markdown_verb_entry, &man_verb_entry, NULL};

const struct noun reference_noun = {.name = "reference",
                                    .summary = "what the commands say, for pages",
                                    .about = "What the commands say, for pages.",
                                    .verbs = verbs,
                                    .is_hidden = true};
