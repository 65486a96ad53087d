/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq import`: lines of JSON as letters. They go to the topic that the command line names, whatever the lines
 * say.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "dlq.h"
#include "interrupt.h"
#include "lines.h"

struct import {
    struct dlq *dlq;
    const char *topic, *name; /* of what is read, for messages */
    int fd;
    struct lines lines;
    int64_t number, count;
};

static bool is_blank(kur_bytes line)
{
    const char *text = line.data;
    for (size_t i = 0; i < line.size; i++)
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
            return false;
    return true;
}

static int fail_at(const struct import *import, const kur_error *error)
{
    return command_fail(import->dlq->call.noun, "%s, line %" PRId64 ": %s", import->name, import->number,
                        error->message);
}

/* One line; to the writer, when there is one. */
static int take_line(struct import *import, kur_bytes text, kur_letter_writer *writer)
{
    struct dlq *dlq = import->dlq;
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE();
    kur_arena_reset(dlq->call.arena);
    if (kur_letter_parse(text, dlq->call.arena, &line, &error) != KUR_OK)
        return fail_at(import, &error);
    if (writer != NULL && kur_letter_writer_import(writer, import->topic, &line, &error) != KUR_OK)
        return error.code == KUR_ERROR_CANCELLED ? EXIT_PARTIAL : fail_at(import, &error);
    import->count++;
    /* From here on something may have been written; before it, a signal ends the program, and nothing was done. */
    if (writer != NULL && import->count == 1)
        interrupt_begin();
    if (import->count % 1000 == 0)
        progress_tell(&dlq->progress, import->count, dlq->total);
    return EXIT_DONE;
}

static int go_through(struct import *import, kur_letter_writer *writer)
{
    const char *noun = import->dlq->call.noun;
    int status = EXIT_DONE;
    kur_bytes text;
    import->number = import->count = 0;
    lines_begin(&import->lines, import->fd, KUR_LETTER_LINE_MAX);
    while (status == EXIT_DONE && lines_next(&import->lines, &text)) {
        import->number++;
        if (!is_blank(text))
            status = take_line(import, text, writer);
    }
    if (status == EXIT_DONE && import->lines.failed != 0)
        status = command_fail(noun, "%s: %s", import->name, strerror(import->lines.failed));
    if (interrupt_count() > 0 && (status == EXIT_DONE || status == EXIT_PARTIAL)) {
        command_note(noun, "stopped; %" PRId64 " letters of %s were sent", import->count, import->name);
        status = EXIT_PARTIAL;
    }
    lines_done(&import->lines);
    return status;
}

static int write_lines(struct import *import)
{
    struct dlq *dlq = import->dlq;
    kur_letter_writer *writer = dlq_writer(dlq);
    if (writer == NULL)
        return EXIT_FAILED;
    progress_begin(&dlq->progress, "letters sent");
    int status = go_through(import, writer);
    return dlq_finish(dlq, writer, status, "written to", import->topic);
}

static int open_import(struct import *import)
{
    const struct dlq *dlq = import->dlq;
    if (dlq->call.argument_count < 1 || dlq->call.argument_count > 2)
        return command_refuse(dlq->call.noun, "which topic of dead letters? kurier dlq import TOPIC [FILE]");
    import->topic = dlq->call.arguments[0];
    if (!kur_letter_is_topic(import->topic) && !dlq->any_topic)
        return command_refuse(dlq->call.noun,
                              "%.200s is no topic of dead letters, by its name; --any-topic writes to it all the same",
                              import->topic);
    import->name = dlq->call.argument_count == 2 ? dlq->call.arguments[1] : "-";
    import->fd = STDIN_FILENO;
    if (strcmp(import->name, "-") == 0)
        import->name = "standard input";
    else if ((import->fd = open(import->name, O_RDONLY | O_CLOEXEC)) < 0)
        return command_fail(dlq->call.noun, "%.200s: %s", import->name, strerror(errno));
    return EXIT_DONE;
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    struct import import = {.dlq = dlq};
    int status = open_import(&import);
    if (status != EXIT_DONE)
        return status;
    /* A file is looked through first, so that a line that is wrong stops everything; a pipe comes once. */
    off_t start = lseek(import.fd, 0, SEEK_CUR);
    progress_begin(&dlq->progress, "letters looked at");
    if (start >= 0 || !call->execute)
        status = go_through(&import, NULL);
    progress_end(&dlq->progress);
    dlq->total = import.count;
    if (status == EXIT_DONE && !call->execute)
        command_note(call->noun, "%" PRId64 " letters would be written to %s; --execute writes them", import.count,
                     import.topic);
    if (status == EXIT_DONE && call->execute)
        status = start >= 0 && lseek(import.fd, start, SEEK_SET) != start
                     ? command_fail(call->noun, "%.200s: %s", import.name, strerror(errno))
                     : write_lines(&import);
    if (import.fd != STDIN_FILENO)
        close(import.fd);
    return status;
}

static const struct option list[] = {
    {"--execute", NULL, "write; without it the lines are looked through and counted",
     OPTION_IN(FLAG, struct dlq, call.execute)},
    {"--any-topic", NULL, "TOPIC may have any name", OPTION_IN(FLAG, struct dlq, any_topic)},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb dlq_import = {
    .name = "import",
    .arguments = "TOPIC [FILE]",
    .summary = "what export has written, back into a topic of dead letters",
    .about = "Brings exported letters back into TOPIC, each as it was: key, value, headers, time, and the number of "
             "its partition where TOPIC has it. What the lines say of topics is not looked at. FILE is standard input "
             "by default. A file with a line that is wrong is not begun; a pipe is written up to that line. Twice is "
             "twice: letters are not compared.",
    .options = {&options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
