/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier completion bash`: completion made from the tables, as a script without programs that it calls.
 */
#include <stdio.h>

#include "help.h"

static struct invocation state;

static void print_verb(const struct noun *noun, const struct verb *verb)
{
    printf("    '%s%s%s') words='--help", noun->name, verb->name != NULL ? " " : "",
           verb->name != NULL ? verb->name : "");
    for (size_t set = 0; set < OPTION_SETS_MAX && verb->options[set] != NULL; set++)
        for (const struct option *option = verb->options[set]->list; option->name != NULL; option++)
            if (!help_is_hidden(verb, set, option))
                printf(" %s", option->name);
    printf("'");
    if (verb->arguments != NULL && strstr(verb->arguments, "FILE") != NULL)
        printf(" takes=FILE");
    printf(" ;;\n");
}

/* An option takes the same wherever it stands, so that each is told once; the first with words counts. */
static void print_values(void)
{
    for (size_t i = 0; nouns[i] != NULL; i++)
        for (size_t k = 0; nouns[i]->verbs[k] != NULL; k++)
            for (size_t set = 0; set < OPTION_SETS_MAX && nouns[i]->verbs[k]->options[set] != NULL; set++)
                for (const struct option *option = nouns[i]->verbs[k]->options[set]->list; option->name != NULL;
                     option++)
                    if (option->value != NULL)
                        printf("    '%s%s%s %s') value='%s' ;;\n", nouns[i]->name,
                               nouns[i]->verbs[k]->name != NULL ? " " : "",
                               nouns[i]->verbs[k]->name != NULL ? nouns[i]->verbs[k]->name : "", option->name,
                               option->words != NULL ? option->words : "-");
}

static void print_nouns(void)
{
    printf("    '') words='--help --version");
    for (size_t i = 0; nouns[i] != NULL; i++)
        if (!nouns[i]->is_hidden)
            printf(" %s", nouns[i]->name);
    printf("' ;;\n");
    for (size_t i = 0; nouns[i] != NULL; i++) {
        if (nouns[i]->is_hidden || nouns[i]->verbs[0]->name == NULL)
            continue;
        printf("    '%s') words='--help", nouns[i]->name);
        for (size_t k = 0; nouns[i]->verbs[k] != NULL; k++)
            printf(" %s", nouns[i]->verbs[k]->name);
        printf("' ;;\n");
    }
}

static int bash(struct invocation *call)
{
    (void)call;
    printf("# bash completion for kurier: source <(kurier completion bash)\n"
           "_kurier() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= words= value= takes=\n"
           "    [ \"$COMP_CWORD\" -lt 2 ] || verb=${COMP_WORDS[1]}\n"
           "    case $verb in\n");
    for (size_t i = 0; nouns[i] != NULL; i++)
        if (nouns[i]->verbs[0]->name != NULL)
            printf("    %s) [ \"$COMP_CWORD\" -lt 3 ] || verb=\"$verb ${COMP_WORDS[2]}\" ;;\n", nouns[i]->name);
    printf("    esac\n"
           "    case \"$verb $before\" in\n");
    print_values();
    printf("    esac\n"
           "    case $value in\n"
           "    '') ;;\n"
           "    FILE) COMPREPLY=($(compgen -f -- \"$word\")) && return ;;\n"
           "    -) COMPREPLY=() && return ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$value\" -- \"$word\")) && return ;;\n"
           "    esac\n"
           "    case $verb in\n");
    print_nouns();
    for (size_t i = 0; nouns[i] != NULL; i++)
        for (size_t k = 0; !nouns[i]->is_hidden && nouns[i]->verbs[k] != NULL; k++)
            print_verb(nouns[i], nouns[i]->verbs[k]);
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    [ \"$takes\" != FILE ] || case $word in -*) ;; *) COMPREPLY=($(compgen -f -- \"$word\")) ;; esac\n"
           "}\n"
           "complete -o filenames -o bashdefault -F _kurier kurier\n");
    return EXIT_DONE;
}

static const struct verb bash_verb = {.name = "bash",
                                      .summary = "for bash",
                                      .about =
                                          "Prints the completion of nouns, verbs, options and their values, for bash:\n"
                                          "\n"
                                          "  source <(kurier completion bash)\n"
                                          "\n"
                                          "The Debian package installs it.",
                                      .state = &state,
                                      .run = bash};
static const struct verb *const verbs[] = {&bash_verb, NULL};

const struct noun completion_noun = {.name = "completion",
                                     .summary = "completion of the command line, for a shell",
                                     .about = "Completion of the command line, for a shell.",
                                     .verbs = verbs};
