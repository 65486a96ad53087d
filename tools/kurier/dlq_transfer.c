/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq export` and `import`: letters as lines of JSON, and back. What is written by import goes to the topic
 * that the command line names, whatever the lines say.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dlq.h"
#include "text.h"

/* ---- Export ---- */

static int write_letters(struct dlq *dlq, kur_letter_reader *reader, FILE *to, int64_t *count)
{
    int status = EXIT_DONE;
    kur_buffer line = {0};
    for (const kur_letter *letter; (letter = dlq_next(dlq, reader, &status)) != NULL; ++*count) {
        line.size = 0;
        text_need(kur_letter_export(letter, &line, NULL));
        if (fwrite(line.data, 1, line.size, to) != line.size) {
            status = command_fail(dlq->call.noun, "cannot write: %s", strerror(errno));
            break;
        }
    }
    kur_buffer_done(&line);
    return status;
}

/* Letters hold personal data: only who exports them may read the file. */
static FILE *open_export(const struct dlq *dlq)
{
    if (dlq->file == NULL || strcmp(dlq->file, "-") == 0)
        return stdout;
    int fd = open(dlq->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (to == NULL)
        command_fail(dlq->call.noun, "%.200s: %s", dlq->file, strerror(errno));
    return to;
}

static int run_export(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    const char *const *topics;
    int64_t count = 0;
    int status = dlq_topics(dlq, &topics);
    if (status != EXIT_DONE)
        return status;
    FILE *to = open_export(dlq);
    if (to == NULL)
        return EXIT_FAILED;
    kur_letter_reader *reader = topics[0] != NULL ? dlq_read(dlq, topics, &status) : NULL;
    if (reader != NULL) {
        status = write_letters(dlq, reader, to, &count);
        status = dlq_close(dlq, reader, status);
    }
    bool is_written = fflush(to) == 0 && (to == stdout || fsync(fileno(to)) == 0);
    if (to != stdout)
        is_written &= fclose(to) == 0;
    if (!is_written && status == EXIT_DONE)
        status = command_fail(dlq->call.noun, "not everything could be written: %s", strerror(errno));
    if (status == EXIT_DONE || status == EXIT_PARTIAL)
        fprintf(stderr, "kurier %s: %" PRId64 " letters\n", dlq->call.noun, count);
    return status;
}

static const struct option export_list[] = {
    {"--file", "FILE", "write to a new file that only this user can read; default: standard output",
     OPTION_IN(TEXT, struct dlq, file), .words = "FILE"},
    {.name = NULL}};
static const struct options export_options = {.list = export_list};

const struct verb dlq_export = {
    .name = "export",
    .arguments = "[TOPIC…]",
    .summary = "letters as lines of JSON, nothing masked",
    .about = "Letters as lines of JSON, each a record byte for byte: what is no UTF-8 stands as {\"base64\": …}. "
             "Nothing is masked: the lines hold whatever the records hold. kurier dlq import brings them back.",
    .options = {&export_options, &dlq_filter_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run_export};

/* ---- Import ---- */

struct import {
    struct dlq *dlq;
    const char *topic, *name; /* of what is read, for messages */
    FILE *from;
    char *line;
    size_t capacity, size;
    int64_t number, count;
    bool is_over;
};

/*
 * The next line, up to the bound of the library; false at the end. A line without end takes no more memory than that.
 */
static bool read_line(struct import *import)
{
    int c;
    import->size = 0;
    while ((c = getc_unlocked(import->from)) != EOF) {
        if (import->size + 1 >= import->capacity) {
            import->capacity = import->capacity > 0 ? import->capacity * 2 : 65536;
            char *more = realloc(import->line, import->capacity);
            text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
            import->line = more;
        }
        import->line[import->size++] = (char)c;
        if (c == '\n' || import->size > KUR_LETTER_LINE_MAX)
            break;
    }
    import->number += import->size > 0;
    return import->size > 0;
}

static bool is_blank(const struct import *import)
{
    for (size_t i = 0; i < import->size; i++)
        if (strchr(" \t\r\n", import->line[i]) == NULL || import->line[i] == '\0')
            return false;
    return true;
}

/* Each line of the file; to the writer, when there is one. */
static int go_through(struct import *import, kur_letter_writer *writer)
{
    struct dlq *dlq = import->dlq;
    import->number = import->count = 0;
    while (read_line(import)) {
        kur_error error = {0};
        kur_letter_line line = KUR_LETTER_LINE();
        kur_arena_reset(dlq->call.arena);
        if (is_blank(import))
            continue;
        if (kur_letter_parse(kur_bytes_of(import->line, import->size), dlq->call.arena, &line, &error) != KUR_OK)
            return command_fail(dlq->call.noun, "%s, line %" PRId64 ": %s", import->name, import->number,
                                error.message);
        if (writer != NULL && kur_letter_writer_import(writer, import->topic, &line, &error) != KUR_OK)
            return command_fail(dlq->call.noun, "%s, line %" PRId64 ": %s", import->name, import->number,
                                error.message);
        import->count++;
        if (import->count % 1000 == 0)
            progress_tell(&dlq->progress, import->count, 0);
    }
    if (ferror(import->from) != 0)
        return command_fail(dlq->call.noun, "%s: %s", import->name, strerror(errno));
    return EXIT_DONE;
}

static int write_lines(struct import *import)
{
    struct dlq *dlq = import->dlq;
    kur_error error = {0};
    kur_letter_counts counts = KUR_LETTER_COUNTS();
    kur_letter_writer *writer = kur_letter_writer_new(dlq->call.client, &error);
    if (writer == NULL)
        return command_fail(dlq->call.noun, "%s", error.message);
    int status = go_through(import, writer);
    kur_status finished = kur_letter_writer_finish(writer, dlq->call.connection.timeout_ms, &counts, &error);
    kur_letter_writer_free(writer);
    progress_end(&dlq->progress);
    if (finished != KUR_OK)
        command_fail(dlq->call.noun, "%s", error.message);
    fprintf(stderr, "kurier %s: %" PRId64 " letters written to %s", dlq->call.noun, counts.written, import->topic);
    fprintf(stderr,
            counts.failed + counts.unknown > 0 ? ", %" PRId64 " failed, of %" PRId64 " it is not known\n" : "\n",
            counts.failed, counts.unknown);
    if (counts.unknown > 0)
        return EXIT_UNKNOWN;
    return status == EXIT_DONE && finished == KUR_OK ? EXIT_DONE : counts.written > 0 ? EXIT_PARTIAL : EXIT_FAILED;
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
    import->from = stdin;
    if (strcmp(import->name, "-") == 0)
        import->name = "standard input";
    else if ((import->from = fopen(import->name, "re")) == NULL)
        return command_fail(dlq->call.noun, "%.200s: %s", import->name, strerror(errno));
    return EXIT_DONE;
}

static int run_import(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    struct import import = {.dlq = dlq};
    int status = open_import(&import);
    if (status != EXIT_DONE)
        return status;
    progress_begin(&dlq->progress, "letters");
    /* A file is looked through first, so that a line that is wrong stops everything; a pipe comes once. */
    bool can_rewind = fseek(import.from, 0, SEEK_CUR) == 0;
    if (can_rewind || !dlq->call.execute)
        status = go_through(&import, NULL);
    progress_end(&dlq->progress);
    if (status == EXIT_DONE && !dlq->call.execute)
        fprintf(stderr, "kurier %s: %" PRId64 " letters would be written to %s; --execute writes them\n",
                dlq->call.noun, import.count, import.topic);
    if (status == EXIT_DONE && dlq->call.execute) {
        if (can_rewind)
            rewind(import.from);
        status = write_lines(&import);
    }
    free(import.line);
    if (import.from != stdin)
        fclose(import.from);
    return status;
}

static const struct option import_list[] = {
    {"--execute", NULL, "write; without it the lines are looked through and counted",
     OPTION_IN(FLAG, struct dlq, call.execute)},
    {"--any-topic", NULL, "TOPIC may have any name", OPTION_IN(FLAG, struct dlq, any_topic)},
    {.name = NULL}};
static const struct options import_options = {.list = import_list};

const struct verb dlq_import = {
    .name = "import",
    .arguments = "TOPIC [FILE]",
    .summary = "what export has written, back into a topic of dead letters",
    .about = "Brings exported letters back into TOPIC, each as it was: key, value, headers, time, and the number of "
             "its partition where TOPIC has it. What the lines say of topics is not looked at. FILE is standard input "
             "by default. A file with a line that is wrong is not begun; a pipe is written up to that line. Twice is "
             "twice: letters are not compared.",
    .options = {&import_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run_import};
