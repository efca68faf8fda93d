<?php
// A guest book: POST entry=… writes a line, GET shows the last ones.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
header('Content-Type: text/plain; charset=utf-8');
try {
    $password = file_get_contents(getenv('DATABASE_PASSWORD_FILE'));
    $database = new mysqli(getenv('DATABASE_HOST'), 'app', $password, 'app');
    $database->query('CREATE TABLE IF NOT EXISTS entries (
        id INT AUTO_INCREMENT PRIMARY KEY, entry VARCHAR(200) NOT NULL, written TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)');
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        $statement = $database->prepare('INSERT INTO entries (entry) VALUES (?)');
        $statement->execute([substr($_POST['entry'] ?? '', 0, 200)]);
        http_response_code(201);
    }
    $rows = $database->query('SELECT entry FROM entries ORDER BY id DESC LIMIT 10')->fetch_all();
    echo 'host: ', gethostname(), "\n";
    echo 'client: ', $_SERVER['REMOTE_ADDR'], "\n";
    foreach ($rows as [$entry]) {
        echo 'entry: ', $entry, "\n";
    }
} catch (mysqli_sql_exception $error) {
    http_response_code(503);
    error_log($error->getMessage());
    echo "The database does not answer. Please try again.\n";
}
