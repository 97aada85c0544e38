import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's own clients, told by lines on standard input what to do; each line is answered by one on standard output.
 *
 * <p>The fields of a line are set apart by tabs: the action, a file with the client's properties, what the action
 * needs. One process for all tests of a folder: starting a JVM takes longer than most of them.
 */
public final class Peer {
    private static final long WITHIN_SECONDS = 20;

    private static final Map<String, KafkaProducer<String, String>> kept = new HashMap<>();

    public static void main(String[] arguments) throws IOException {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "done\t" + act(line.split("\t"));
            } catch (Throwable why) {
                answer = "refused\t" + chain(why);
            }
            System.out.println(answer.replace("\n", " ").replace("\r", " "));
            System.out.flush();
        }
        System.exit(0);
    }

    private static String act(String[] words) throws Exception {
        Properties properties = properties(words[1]);
        switch (words[0]) {
            case "topic":
                try (var admin = Admin.create(properties)) {
                    admin.createTopics(List.of(new NewTopic(words[2], 1, (short) 1))).all().get();
                }
                return "";
            case "allow":
                try (var admin = Admin.create(properties)) {
                    var topic = new ResourcePattern(ResourceType.TOPIC, words[2], PatternType.LITERAL);
                    var entry = new AccessControlEntry(words[3], "*", AclOperation.ALL, AclPermissionType.ALLOW);
                    admin.createAcls(List.of(new AclBinding(topic, entry))).all().get();
                }
                return "";
            case "round":
                try (var producer = producer(properties)) {
                    return round(producer, properties, words[2], words[3]);
                }
            case "keep":
                var producer = producer(properties);
                try {
                    send(producer, words[2], "kept");
                } catch (Exception why) {
                    producer.close(Duration.ZERO);
                    throw why;
                }
                kept.put(words[3], producer);
                return "";
            case "send":
                send(kept.get(words[3]), words[2], "kept");
                return "";
            case "close":
                kept.remove(words[2]).close(Duration.ZERO);
                return "";
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private static Properties properties(String file) throws IOException {
        var properties = new Properties();
        properties.load(new StringReader(Files.readString(Path.of(file))));
        properties.put("key.serializer", StringSerializer.class.getName());
        properties.put("value.serializer", StringSerializer.class.getName());
        properties.put("key.deserializer", StringDeserializer.class.getName());
        properties.put("value.deserializer", StringDeserializer.class.getName());
        properties.put("max.block.ms", Long.toString(WITHIN_SECONDS * 1000));
        properties.putIfAbsent("linger.ms", "0");
        properties.putIfAbsent("request.timeout.ms", Long.toString(WITHIN_SECONDS * 500));
        properties.putIfAbsent("delivery.timeout.ms", Long.toString(WITHIN_SECONDS * 1000));
        properties.put("default.api.timeout.ms", Long.toString(WITHIN_SECONDS * 1000));
        return properties;
    }

    private static KafkaProducer<String, String> producer(Properties properties) {
        return new KafkaProducer<>(properties);
    }

    private static long send(KafkaProducer<String, String> producer, String topic, String value) throws Exception {
        return producer.send(new ProducerRecord<>(topic, value)).get().offset();
    }

    /** Produces a record and reads it back from where it was written. */
    private static String round(
            KafkaProducer<String, String> producer, Properties properties, String topic, String value)
            throws Exception {
        long offset = send(producer, topic, value);
        try (var consumer = new KafkaConsumer<String, String>(properties)) {
            var partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, offset);
            for (var record : consumer.poll(Duration.ofSeconds(WITHIN_SECONDS))) {
                return record.value();
            }
        }
        throw new IllegalStateException("nothing to read at offset " + offset);
    }

    private static String chain(Throwable why) {
        var told = new StringBuilder();
        for (Throwable one = why; one != null; one = one.getCause()) {
            told.append(told.length() == 0 ? "" : " <- ").append(one.getClass().getSimpleName());
            told.append(": ").append(one.getMessage());
        }
        return told.toString();
    }

    private Peer() {}
}
