/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(const char *noun, const char *format, va_list arguments)
{
    fprintf(stderr, "kurier%s%s: ", noun != NULL ? " " : "", noun != NULL ? noun : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int command_refuse(const char *noun, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(noun, format, arguments);
    va_end(arguments);
    fprintf(stderr, "See kurier%s%s --help.\n", noun != NULL ? " " : "", noun != NULL ? noun : "");
    return EXIT_REFUSED;
}

int command_fail(const char *noun, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(noun, format, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

bool command_option(int argc, char **argv, int *index, const char *name, const char **value)
{
    const char *argument = argv[*index];
    size_t size = strlen(name);
    if (strncmp(argument, name, size) != 0 || (argument[size] != '\0' && argument[size] != '='))
        return false;
    if (argument[size] == '=')
        *value = argument + size + 1;
    else
        *value = *index + 1 < argc ? argv[++*index] : NULL;
    return true;
}
