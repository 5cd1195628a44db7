<?php
// Says what PHP reads of each request it is sent.
function leaves($where, $v, &$out) {
    if (is_array($v)) {
        foreach ($v as $k => $x) leaves($where . '/' . $k, $x, $out);
    } elseif (is_string($v)) {
        $out[] = [base64_encode($where), base64_encode($v)];
    }
}
$out = [];
leaves('query', $_GET, $out);
leaves('form', $_POST, $out);
leaves('cookie', $_COOKIE, $out);
foreach ($_FILES as $name => $f) {
    if (!is_string($f['name'])) { leaves('filename', $f['name'], $out); continue; }
    $out[] = [base64_encode('filename:' . $name), base64_encode($f['name'])];
    if ($f['tmp_name'] !== '') $out[] = [base64_encode('multipart:' . $name), base64_encode(file_get_contents($f['tmp_name']))];
}
$type = $_SERVER['CONTENT_TYPE'] ?? '';
if (str_starts_with($type, 'application/json')) leaves('json', json_decode(file_get_contents('php://input'), true), $out);
$path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?'));
foreach ($out as &$pair) $pair[0] = preg_replace('/[^\x20-\x7e]/', '?', base64_decode($pair[0]));
header('Content-Type: application/json');
echo json_encode(['path' => base64_encode($path), 'values' => $out]);
