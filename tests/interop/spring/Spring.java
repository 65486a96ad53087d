// Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Proxy;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;
import org.springframework.kafka.core.KafkaOperations;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.KafkaConsumerBackoffManager;
import org.springframework.kafka.listener.ListenerExecutionFailedException;
import org.springframework.kafka.listener.MessageListener;
import org.springframework.kafka.listener.TimestampedException;
import org.springframework.kafka.listener.adapter.KafkaBackoffAwareMessageListenerAdapter;
import org.springframework.kafka.retrytopic.DeadLetterPublishingRecovererFactory;
import org.springframework.kafka.retrytopic.DefaultDestinationTopicResolver;
import org.springframework.kafka.retrytopic.DestinationTopic;
import org.springframework.kafka.retrytopic.DestinationTopicPropertiesFactory;
import org.springframework.kafka.retrytopic.DltStrategy;
import org.springframework.kafka.retrytopic.SuffixingRetryTopicNamesProviderFactory.SuffixingRetryTopicNamesProvider;
import org.springframework.kafka.support.ExceptionMatcher;
import org.springframework.kafka.support.SendResult;
import org.springframework.kafka.retrytopic.SameIntervalTopicReuseStrategy;
import org.springframework.kafka.retrytopic.TopicSuffixingStrategy;

/**
 * What @RetryableTopic(attempts = "4", backOff = @BackOff(5000)) is made of, without a broker. Commands on lines, answers
 * on lines; a header is NAME:VALUE in hexadecimal, a value of - is null.
 *
 *   names                                              the names of its topics of "orders", in their order
 *   fail CAUSE topic partition offset ms header…       the listener has failed with that record: topic, partition, headers
 *                                                      of what is sent in its place
 *   due topic partition offset ms header…              what the listener waits for before it handles it, - for nothing
 */
public final class Spring {
    private static final HexFormat HEX = HexFormat.of();
    private static final String LISTENER = "orders-listener";

    private static ProducerRecord<?, ?> sent;

    /** A template that keeps what it is given. */
    private static KafkaOperations<?, ?> template() {
        return (KafkaOperations<?, ?>) Proxy.newProxyInstance(Spring.class.getClassLoader(),
            new Class<?>[] {KafkaOperations.class}, (proxy, method, arguments) -> {
                if (method.getName().equals("send") && arguments[0] instanceof ProducerRecord<?, ?> record) {
                    sent = record;
                    RecordMetadata metadata = new RecordMetadata(new TopicPartition(record.topic(), 0), 0, 0, 0, 0, 0);
                    return CompletableFuture.completedFuture(new SendResult<>(record, metadata));
                }
                return method.getReturnType() == boolean.class ? false : null;
            });
    }

    private static List<DestinationTopic> destinations() {
        return new DestinationTopicPropertiesFactory("-retry", "-dlt", List.of(5000L, 5000L, 5000L),
            ExceptionMatcher.defaultMatcher(), 1, template(), DltStrategy.ALWAYS_RETRY_ON_ERROR,
            TopicSuffixingStrategy.SUFFIX_WITH_DELAY_VALUE, SameIntervalTopicReuseStrategy.SINGLE_TOPIC, -1,
            Map.of("-smtp", Set.of(ConnectException.class)))
            .createProperties().stream()
            .map(properties -> new DestinationTopic(
                new SuffixingRetryTopicNamesProvider(properties).getTopicName("orders"), properties))
            .toList();
    }

    private static ConsumerRecord<byte[], byte[]> record(String[] words, int at) {
        RecordHeaders headers = new RecordHeaders();
        for (int i = at + 4; i < words.length; i++) {
            String[] header = words[i].split(":", 2);
            headers.add(new String(HEX.parseHex(header[0]), StandardCharsets.UTF_8),
                header[1].equals("-") ? null : HEX.parseHex(header[1]));
        }
        return new ConsumerRecord<>(words[at], Integer.parseInt(words[at + 1]), Long.parseLong(words[at + 2]),
            Long.parseLong(words[at + 3]), TimestampType.CREATE_TIME, 1, 1, new byte[] {'k'}, new byte[] {'v'}, headers,
            Optional.empty());
    }

    /** As the container does: the adapter tells the time, the container the group. */
    private static Exception failure(String cause) {
        Exception root = cause.equals("refused") ? new ConnectException("refused") : new SocketTimeoutException("slow");
        return new ListenerExecutionFailedException("Listener failed", "email", new TimestampedException(root));
    }

    private static String fail(DeadLetterPublishingRecoverer recoverer, String[] words) {
        sent = null;
        recoverer.accept(record(words, 2), null, failure(words[1]));
        if (sent == null) return "-";
        StringBuilder line = new StringBuilder(sent.topic() + " " + (sent.partition() == null ? -1 : sent.partition()));
        for (Header header : sent.headers()) {
            line.append(' ').append(HEX.formatHex(header.key().getBytes(StandardCharsets.UTF_8))).append(':');
            line.append(header.value() == null ? "-" : HEX.formatHex(header.value()));
        }
        return line.toString();
    }

    private static String due(String[] words) {
        String[] found = {"-"};
        MessageListener<byte[], byte[]> handler = record -> { };
        KafkaConsumerBackoffManager manager = context -> found[0] = Long.toString(context.getDueTimestamp());
        new KafkaBackoffAwareMessageListenerAdapter<>(handler, manager, LISTENER, Clock.systemUTC())
            .onMessage(record(words, 1), null, null);
        return found[0];
    }

    public static void main(String[] arguments) throws Exception {
        List<DestinationTopic> destinations = destinations();
        DefaultDestinationTopicResolver resolver = new DefaultDestinationTopicResolver();
        resolver.addDestinationTopics(LISTENER, destinations);
        DeadLetterPublishingRecovererFactory factory = new DeadLetterPublishingRecovererFactory(resolver);
        factory.neverLogListenerException();
        DeadLetterPublishingRecoverer recoverer = factory.create(LISTENER);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = input.readLine()) != null;) {
            String[] words = line.split(" ");
            System.out.println(switch (words[0]) {
                case "names" -> String.join(" ", destinations.stream().map(DestinationTopic::getDestinationName).toList());
                case "fail" -> fail(recoverer, words);
                default -> due(words);
            });
            System.out.flush();
        }
    }
}
