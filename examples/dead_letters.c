/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: reads those that there are now, counts what they died of, and shows how each went. It is not a
 * member of any group and changes nothing. `kurier dlq` does the same, and more, at the command line.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a service, or anybody, wrote there must not drive the terminal. */
static void print_plain(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
    putchar('\n');
}

static void print_letter(const kur_letter *letter)
{
    const kur_retry_view *retry = letter->retry;
    char when[KUR_TIME_TEXT_SIZE];
    printf("%s/%" PRId32 "/%" PRId64 ": ", letter->topic, letter->partition, letter->offset);
    print_plain(retry->message);
    for (size_t i = 0; i < retry->attempt_count; i++) {
        kur_time_format(retry->attempts[i]->at_us, when);
        printf("    attempt %d at %s: ", retry->attempts[i]->attempt, when);
        print_plain(retry->attempts[i]->cause);
    }
}

/* Every letter is looked at once; the groups take memory by their number, not by that of letters. */
static kur_status count_letters(kur_client *client, const char *const *topics, kur_letter_groups *groups,
                                kur_error *error)
{
    kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics), error);
    const kur_letter *letter = NULL;
    while (kur_letter_reader_next(reader, &letter, error) == KUR_OK && letter != NULL) {
        print_letter(letter);
        if (kur_letter_groups_add(groups, letter, error) != KUR_OK)
            break;
    }
    kur_letter_reader_free(reader);
    return error->code;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        printf("usage: %s TOPIC…\n\nWhat these dead letters died of. Broker: KAFKA_BOOTSTRAP_SERVERS.\n", argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_letter_group_list list = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    kur_letter_groups *groups = kur_letter_groups_new(&KUR_LETTER_GROUPS_OPTIONS(.by = KUR_LETTERS_BY_CAUSE), &error);
    kur_arena *arena = kur_arena_new();
    if (count_letters(client, (const char *const *)argv + 1, groups, &error) == KUR_OK)
        kur_letter_groups_list(groups, arena, &list, &error);
    for (size_t i = 0; i < list.count; i++) {
        printf("%" PRId64 " of ", list.items[i]->count);
        print_plain(list.items[i]->cause);
    }
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_arena_free(arena);
    kur_letter_groups_free(groups);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
