import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.tools.DumpLogSegments;

/** DumpLogSegments over every file of a data directory; the files are named in a file. */
public final class DumpFiles {
    private static final Pattern WRONG = Pattern.compile(
        "[Mm]ismatch|is followed by|invalid bytes|out of order|isvalid: false|^Error|skipping|Exception"
            + "|Could not|^Snapshot |Index offset: ");

    private DumpFiles() {
    }

    public static void main(String[] args) throws Exception {
        List<String> files = Files.readAllLines(Path.of(args[0]));
        Predicate<String> index = file -> file.endsWith("index") && !file.endsWith(".txnindex");
        Predicate<String> log = file -> file.endsWith(".log");
        Predicate<String> offsets = file -> file.contains("/__consumer_offsets-");
        Report.check("files", () -> Report.require(files.stream().anyMatch(log), "no log at all"));
        Report.check("records", () -> dump(some(files, log), "--deep-iteration"));
        Report.check("snapshots", () -> dump(some(files, log.or(index).negate())));
        Report.check("indexes", () -> dump(some(files, index)));
        Report.check("index-sanity", () -> sanity(some(files, index)));
        Report.check("consumer-offsets",
            () -> dump(some(files, log.and(offsets)), "--offsets-decoder", "--deep-iteration"));
        Report.done();
    }

    private static List<String> some(List<String> files, Predicate<String> which) {
        return files.stream().filter(which).collect(Collectors.toList());
    }

    private static void dump(List<String> files, String... options) throws Exception {
        Lines lines = run(files, options);
        Report.same(files.size(), lines.dumped, "dumped files");
    }

    private static void sanity(List<String> files) throws Exception {
        Lines lines = run(files, "--index-sanity-check");
        Report.same(files.size(), lines.sane, "files that passed the sanity check");
    }

    private static Lines run(List<String> files, String... options) throws Exception {
        Lines lines = new Lines();
        if (files.isEmpty()) {
            return lines;
        }
        List<String> args = new ArrayList<>(List.of(options));
        args.add("--files");
        args.add(String.join(",", files));
        int status = Tool.drive(DumpLogSegments::main, "", lines, args.toArray(new String[0]));
        Report.same(0, status, "exit status");
        Report.require(lines.wrong.isEmpty(), String.join("\n", lines.wrong));
        return lines;
    }

    /** Looks at each line as it is printed: deep iteration prints a line per record. */
    private static final class Lines extends OutputStream {
        final List<String> wrong = new ArrayList<>();
        int dumped;
        int sane;
        private final java.io.ByteArrayOutputStream line = new java.io.ByteArrayOutputStream();
        private String file = "";

        @Override
        public void write(int b) {
            if (b == '\n') {
                take(line.toString(StandardCharsets.UTF_8));
                line.reset();
            } else {
                line.write(b);
            }
        }

        @Override
        public void write(byte[] bytes, int from, int count) {
            for (int i = from; i < from + count; i++) {
                write(bytes[i]);
            }
        }

        /** The tool takes the first offset of a segment, too, as one that should follow -1. */
        private boolean isFirstOfSegment(String text) {
            String base = file.replaceAll(".*/0*([0-9]+)\\.log$", "$1");
            return text.trim().equals("-1 is followed by " + base);
        }

        /** Offsets are missing where records were compacted, and nowhere else. */
        private boolean isCompacted(String text) {
            return file.contains("/compacted-") && text.contains(" is followed by ");
        }

        private void take(String text) {
            if (text.startsWith("Dumping ")) {
                file = text;
                dumped++;
            } else if (text.endsWith(" passed sanity check.") || text.endsWith(" is empty.")) {
                sane++;
            } else if (text.startsWith("Non-consecutive offsets in ")) {
                file = text;
            } else if (wrong.size() < 20 && !isFirstOfSegment(text) && !isCompacted(text)
                && WRONG.matcher(text).find()) {
                wrong.add(file + ": " + text);
            }
        }
    }
}
