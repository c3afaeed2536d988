/** The checks of one Java client, whatever its version. */
public final class ClientChecks {
    private ClientChecks() {
    }

    public static void main(String[] args) {
        DataChecks.run();
        GroupChecks.run();
        AdminChecks.run();
        QuotaChecks.run();
        CompactionChecks.run();
        RestartChecks.run();
        Report.done();
    }
}
